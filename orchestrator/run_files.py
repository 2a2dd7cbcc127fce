"""What a run left in its folder, read back and checked: manifest, config, metrics and times.

Reports are made from these files alone, so that `clutch report RUN` tells the same story on any
machine. A file that is missing reads as empty: what is not there is reported as missing.

No changed byte goes unnoticed. JSON carries its own hash (datagen/whole_file.py), a line of JSONL
that of all lines before it (trainers/journal.py), folders have manifests, and SHA256SUMS, written
last, lists every file of a finished run, as `sha256sum -c` reads it.
"""

import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from datagen.manifest import MANIFEST, load_manifest
from datagen.whole_file import SEAL, DamageError, read_sealed, whole_file
from trainers.journal import read_chained

Row = dict[str, Any]

CONFIG_NAME = "config.yaml"
MANIFEST_NAME = "run_manifest.json"
RUN_FORMAT: Final = "clutch-run-v2"
"""Runs whose files carry hashes; those of v1 do not."""
ONLY_COPY = "restore the file, or start over with clutch run --fresh"


def read_jsonl(path: Path) -> Iterator[Row]:
    """Yield the objects of a JSONL file; nothing if there is no such file.

    A torn last line (the writer was killed) is left out; a broken line before it raises ValueError
    with its number.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode(errors="surrogatepass"))
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return
                raise ValueError(f"{path}:{number}: not a line of JSON: {error}") from None
            if not isinstance(row, dict):
                found = line.decode(errors="replace").strip()[:40]
                raise ValueError(f"{path}:{number}: expected a JSON object, got {found}")
            yield row


def read_json(path: Path) -> Row:
    """Return the object in a JSON file; an empty one if there is no such file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return value


def lock_file(folder: Path) -> Path:
    """Return the file that a run holds locked while it runs in a folder."""
    return folder.with_name(f".{folder.name}.lock")


def is_running(folder: Path) -> bool:
    """Return whether a run of this machine is running in a folder now."""
    try:
        with lock_file(folder).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@dataclass(frozen=True)
class RunFiles:
    """The small files of one run; evaluations are read apart (see evaluations.py)."""

    folder: Path
    covered: bool
    """Whether the files carry hashes."""
    manifest: Row
    config: Row
    metrics: tuple[Row, ...]
    timings: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Name of the run: as configured, else the folder's."""
        return str(self.config.get("name") or self.folder.resolve().name)

    @property
    def stages(self) -> list[Row]:
        """The configured stages in order, each with its `name` filled in (its type by default)."""
        stages = self.config.get("stages") or []
        return [{**stage, "name": stage.get("name") or stage.get("type")} for stage in stages]

    @property
    def evaluation(self) -> Row:
        """The `evaluation` section of the config."""
        return dict(self.config.get("evaluation") or {})

    def dataset_config(self, name: str) -> Row:
        """Return the config of one of the run's datasets; empty if it has none of that name."""
        return dict((self.config.get("datasets") or {}).get(name) or {})

    def dataset_manifest(self, name: str) -> Row:
        """Return the manifest of one of the run's datasets; empty if it cannot be found."""
        path = self.dataset_config(name).get("path")
        own = self.folder / "datasets" / name
        folder = Path(path) if path and not (own / MANIFEST).is_file() else own
        if self.covered and (folder / MANIFEST).is_file():
            return load_manifest(folder).model_dump(mode="json")
        return read_json(folder / MANIFEST)

    def trained_labels(self) -> set[str] | None:
        """Return the difficulty labels of every split that a stage trained on; None if unknown."""
        labels: set[str] = set()
        for stage in self.stages:
            manifest = self.dataset_manifest(str(stage.get("dataset")))
            histogram = (manifest.get("difficulty") or {}).get(stage.get("split") or "train")
            if not isinstance(histogram, dict) or not histogram:
                return None
            labels.update(histogram)
        return labels or None


def read_run(folder: Path) -> RunFiles:
    """Read the files of the run in `folder`; ValueError if it is not a run's folder."""
    covered = is_covered(folder)
    manifest = read_manifest_data(folder) if covered else read_json(folder / MANIFEST_NAME)
    config = manifest.get("config")
    if not isinstance(config, dict):
        path = folder / CONFIG_NAME
        config = YAML(typ="safe", pure=True).load(path) if path.is_file() else {}
    if not manifest and not config:
        raise ValueError(
            f"no run at {folder}: its folder holds run_manifest.json and config.yaml; "
            "give the folder that `clutch run` printed"
        )
    return RunFiles(
        folder=folder,
        covered=covered,
        manifest=manifest,
        config=config or {},
        metrics=_newest(records(folder / "metrics.jsonl", covered)),
        timings=tuple(records(folder / "timings.jsonl", covered)),
    )


def is_covered(folder: Path) -> bool:
    """Return whether the files of a run carry hashes, as those of earlier versions do not."""
    try:
        manifest = read_json(folder / MANIFEST_NAME)
    except ValueError:
        return True  # Whoever reads it says so.
    return manifest.get("format") == RUN_FORMAT or SEAL in manifest


def read_manifest_data(folder: Path) -> Row:
    """Return what the manifest of a run says; DamageError if its bytes were changed."""
    fix = "restore it, or remove it: clutch run then goes on under a new run_id"
    return read_sealed(folder / MANIFEST_NAME, fix)


def records(path: Path, covered: bool) -> Iterator[Row]:
    """Yield the rows that training wrote to a file, none where there is no such file.

    Raises DamageError naming the line that was changed, if lines are `covered` by hashes.
    """
    if not covered:
        yield from read_jsonl(path)
    elif path.is_file():
        try:
            for line in read_chained(path):
                yield line.row
        except DamageError as error:
            raise DamageError(f"{error}; {ONLY_COPY}") from None


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all, in place of any other file."""
    with whole_file(path) as file:
        file.write(text.encode())


def _newest(rows: Iterator[Row]) -> tuple[Row, ...]:
    """Merge the rows of each (stage, step); a value written again replaces the earlier one."""
    kept: dict[tuple[Any, Any], Row] = {}
    for row in rows:
        kept.setdefault((row.get("stage"), row.get("step")), {}).update(row)
    return tuple(kept.values())
