"""The files of a finished run that are made from others, and SHA256SUMS, which lists all files.

    settle_changes(folder, tell=print, evaluates=False)
    write_derived(folder)

`sha256sum -c SHA256SUMS` in the run's folder checks every byte with other people's tools.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.manifest import file_sha256
from datagen.whole_file import DamageError, whole_file
from orchestrator.evaluations import read_evaluations
from orchestrator.evidence import write_evidence
from orchestrator.report import write_report
from orchestrator.result import write_result
from orchestrator.run_files import (
    CONFIG_NAME,
    MANIFEST_NAME,
    ONLY_COPY,
    read_manifest_data,
    read_run,
    records,
    write_text,
)
from orchestrator.scp import scp_metrics
from orchestrator.yaml_source import to_yaml
from trainers.rollout_log import RolloutLog

SUMS_NAME = "SHA256SUMS"
SUMMED = (
    "*.jsonl",
    "config.yaml",
    "run_manifest.json",
    "result.json",
    "metrics.json",
    "delta_report.*",
    "rollouts/*",
    "evaluations/*.jsonl",
    "datasets/*/*",
    "checkpoints/*/*",
)
HAVE_MANIFESTS = ("datasets/", "checkpoints/")
"""Their files are checked by those who read them."""
RECORDS = ("metrics.jsonl", "timings.jsonl", "rollouts/")
"""What only training can make."""


Digests = dict[str, str]


def write_derived(
    folder: Path, usage: Mapping[str, float] | None = None, known: Digests | None = None
) -> dict[str, Any]:
    """Write everything that is made from a trained run's files, and return the result.

    `usage` as in `write_result`, `known` as in `write_sums`.
    """
    run = read_run(folder)
    write_text(folder / CONFIG_NAME, to_yaml(run.config))
    copy_evaluations(folder, list(read_evaluations(run)))
    result = write_result(folder, usage)
    write_evidence(folder / "metrics.json", scp_metrics(folder))
    write_report(folder)
    write_sums(folder, known or {})
    return result


def copy_evaluations(folder: Path, checkpoints: Sequence[str]) -> None:
    """Lay the answers before and after training under the names that readers of runs know."""
    for name, checkpoint in (("eval_before", checkpoints[0]), ("eval_after", checkpoints[-1])):
        source = folder / "evaluations" / f"{checkpoint}.jsonl"
        with source.open("rb") as answers, whole_file(folder / f"{name}.jsonl") as copy:
            shutil.copyfileobj(answers, copy)


def write_sums(folder: Path, known: Digests) -> None:
    """List every file of a finished run in SHA256SUMS.

    Files of datasets and checkpoints keep their `known` hashes: who has not read them cannot tell
    whether their bytes are right.
    """
    files = {path for pattern in SUMMED for path in folder.glob(pattern) if path.is_file()}
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    kept = {name: digest for name, digest in known.items() if name.startswith(HAVE_MANIFESTS)}
    lines = [f"{kept.get(name) or file_sha256(folder / name)}  {name}\n" for name in names]
    text = "".join(lines)
    write_text(folder / SUMS_NAME, f"# {hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def settle_changes(folder: Path, tell: Callable[[str], None], *, evaluates: bool) -> Digests | None:
    """Check a finished run against its SHA256SUMS, and take the list away if the run is in order.

    What is made from other files is told; the caller has it made by `write_derived`. So are
    changed answers if the caller `evaluates`: they are removed. Datasets and checkpoints are left
    to those who read them. Returns what the list said, None where there is none. Raises DamageError
    for what cannot be made again.
    """
    path = folder / SUMS_NAME
    if not path.is_file():
        return None
    known = _read_sums(path)
    changed = [SUMS_NAME] if known is None else list(_changed(folder, known))
    for name in changed:
        _settle(folder, name, tell, evaluates)
    path.unlink()
    return known or {}


def _read_sums(path: Path) -> Digests | None:
    """Return {name: sha256}, None where the list itself was changed."""
    head, _, text = path.read_bytes().partition(b"\n")
    if head != f"# {hashlib.sha256(text).hexdigest()}".encode():
        return None
    lines = (line.split("  ", 1) for line in text.decode().splitlines())
    return {name: digest for digest, name in lines}


def _changed(folder: Path, known: Digests) -> Iterator[str]:
    """Yield the names of the files that were changed or lost."""
    for name, digest in known.items():
        path = folder / name
        if name.startswith(HAVE_MANIFESTS):
            continue
        if not path.is_file() or file_sha256(path) != digest:
            yield name


def _settle(folder: Path, name: str, tell: Callable[[str], None], evaluates: bool) -> None:
    path = folder / name
    what = f"{path} does not match its hash: its bytes were changed"
    if name == MANIFEST_NAME:
        read_manifest_data(folder)
    if name.startswith(RECORDS) and not name.endswith(".idx"):
        deque(records(path, covered=True), maxlen=0)  # names the line, unless the end is lost
        raise DamageError(f"{what}; {ONLY_COPY}")
    if name.startswith("evaluations/"):
        if not evaluates:
            raise DamageError(f"{what}; clutch run, with the run's config, evaluates again")
        path.unlink(missing_ok=True)
    tell(f"{what}; it is made again")
    if name.endswith(".idx"):
        RolloutLog(path.with_suffix(".jsonl")).close()
