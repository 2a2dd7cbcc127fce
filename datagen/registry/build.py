"""Builds a version: chooses rows of its sources and writes them, whole or not at all.

    build_version(Registry(Path("datasets")), config, sources, now)

A key is built once. The same rows again change nothing; other rows under the same key are refused.
"""

import datetime
import errno
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from datagen.manifest import MANIFEST, file_sha256
from datagen.registry.choosing import Choice, Progress
from datagen.registry.config import BuildConfig
from datagen.registry.describing import version_manifest, write_dataset_manifest
from datagen.registry.manifest import FileInfo, VersionManifest
from datagen.registry.rows import RowSource
from datagen.registry.stored import PROBLEMS_FOLDER
from datagen.registry.tally import Tally
from datagen.registry.verify import verify_files
from datagen.registry.versions import Registry
from datagen.registry.writing import OriginsWriter, ProblemsWriter, RowWriter, TracesWriter
from datagen.shards import sync, whole_folder

TOLD = (
    "filters", "selection_strategy", "seed", "limit", "sources", "session_id",
    "parent_dataset_id", "training_run_id", "provenance",
)  # fmt: skip
"""Fields that may differ between two builds of the same rows."""


@dataclass(frozen=True, slots=True)
class Built:
    """A version, whether it was there already, and how what was asked differs from it then."""

    manifest: VersionManifest
    is_new: bool
    differing: tuple[str, ...] = ()
    """Fields of the manifest that say other than this build would; the rows are the same."""


def build_version(
    registry: Registry,
    config: BuildConfig,
    sources: Sequence[RowSource],
    now: datetime.datetime,
    progress: Progress = lambda read, taken: None,
) -> Built:
    """Build a version, or find it there with the same rows.

    Raises ValueError, and changes nothing, where no row is left, the key has other rows, sources
    are of two kinds, or bytes of a source have changed.
    """
    if not sources:
        raise ValueError("there is no source: name at least one (--from)")
    choice = Choice(config, sources, progress)
    folder = registry.path(config.key)
    if registry.has(config.key):
        return _found(registry, choice, now)
    if folder.exists():
        raise ValueError(f"{folder} exists and is no dataset: remove it, or choose another version")
    try:
        with whole_folder(folder) as partial:
            tally, files = _write(choice, partial)
            manifest = version_manifest(choice, tally, files, now)
            path = partial / MANIFEST
            path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            sync(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not registry.has(config.key):
            raise
        return _found(registry, choice, now)  # another process was faster
    return Built(manifest, True)


def _found(registry: Registry, choice: Choice, now: datetime.datetime) -> Built:
    """The version of the key, if it holds the rows that are chosen."""
    config = choice.config
    there = registry.load(config.key)
    if (there.dataset_name, there.dataset_version) != (config.name, config.version):
        raise ValueError(
            f"key {config.key!r} is that of name {there.dataset_name!r} and version "
            f"{there.dataset_version!r}: choose another version"
        )
    verify_files(registry.path(config.key), there)
    tally = Tally()
    for row in choice:
        tally.add(row)
    if tally.content_hash(choice.kind) != there.content_hash:
        raise ValueError(
            f"dataset {config.key!r} exists with other rows ({there.trace_count:,}, these are "
            f"{tally.num_rows:,}): versions do not change, choose another --version"
        )
    here = version_manifest(choice, tally, there.files, now)
    differing = tuple(name for name in TOLD if getattr(here, name) != getattr(there, name))
    return Built(there, False, differing)


def _write(choice: Choice, folder: Path) -> tuple[Tally, dict[str, FileInfo]]:
    """Write all files but the manifest."""
    tally = Tally()
    with ExitStack() as stack:
        origins = stack.enter_context(closing(OriginsWriter(folder)))
        problems = None
        if choice.kind == "traces":
            rows: RowWriter = stack.enter_context(closing(TracesWriter(folder)))
        else:
            rows = problems = stack.enter_context(closing(ProblemsWriter(folder / PROBLEMS_FOLDER)))
        for row in choice:
            tally.add(row)
            rows.add(row)
            origins.add(row)
    if problems is not None:
        write_dataset_manifest(choice, problems, folder / PROBLEMS_FOLDER)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _file_info(path) for path in paths}
    return tally, files


def _file_info(path: Path) -> FileInfo:
    return FileInfo(num_bytes=path.stat().st_size, sha256=file_sha256(path))
