"""The manifest of a version: what it was built of, with a hash of its rows and of every file.

It carries the fields of Tunix RT's dataset manifests, under the same names.
"""

from pathlib import Path
from typing import Any, Literal

from datagen.manifest import (
    MANIFEST,
    Record,
    canonical_hash,
    check_record,
    read_record,
    record_hash,
)

VERSION_FORMAT = "clutch-registry-v1"
SCHEMA_VERSION = "1.0"
MAX_LISTED_IDS = 10_000
"""A version of more rows has its ids in the file of origins only."""

Kind = Literal["problems", "traces"]


class Via(Record):
    """A version of the registry that rows came through."""

    dataset_key: str
    content_hash: str


class SourceInfo(Record):
    """What rows were made by: a dataset of problems, or traces; none of it changes on the way."""

    kind: Kind
    uri: str
    """Where it was read, as it was written."""
    name: str
    generator: str | None = None
    """None for traces that came without a manifest, as the three that follow."""
    generator_version: str | None = None
    seed: int | None = None
    config_hash: str | None = None
    sha256: str
    """The dataset's hash, or that of the file of traces."""
    via: tuple[Via, ...] = ()
    """Versions between the source and this one, the first first."""


class FileInfo(Record):
    """One file of a version."""

    num_bytes: int
    sha256: str


class Stats(Record):
    """Rows and their sizes; a problem has no steps."""

    trace_count: int
    avg_step_count: float
    min_step_count: int
    max_step_count: int
    avg_total_chars: float
    """Characters of prompt, steps and final answer."""


class VersionManifest(Record):
    """Everything about a version but its rows."""

    format: str
    dataset_key: str
    build_id: str
    dataset_name: str
    dataset_version: str
    dataset_schema_version: str
    created_at: str
    kind: Kind
    filters: dict[str, str]
    selection_strategy: Literal["latest", "random"]
    seed: int | None
    limit: int | None
    trace_ids: tuple[str, ...] | None
    """Ids of the rows in order; None if they are too many, and in the file of origins only."""
    trace_count: int
    stats: Stats
    dropped: dict[str, int]
    """Rows of the sources that were not taken, by reason."""
    session_id: str | None
    parent_dataset_id: str | None
    training_run_id: str | None
    provenance: dict[str, str]
    sources: tuple[SourceInfo, ...]
    rows: dict[str, str]
    """Sha256 of each split's rows, which is that of their export as `jsonl`."""
    content_hash: str
    files: dict[str, FileInfo]
    manifest_hash: str
    """Hash of all fields but this one."""


def content_hash(kind: Kind, rows: dict[str, str]) -> str:
    """Return the hash of a version's rows: their values and order, by split, and nothing else."""
    return canonical_hash({"kind": kind, "rows": list(rows.items())})


def sealed(fields: dict[str, Any]) -> VersionManifest:
    """Return a manifest with its own hash."""
    draft = VersionManifest(**fields, manifest_hash="")
    return draft.model_copy(update={"manifest_hash": record_hash(draft)})


def load_version_manifest(folder: Path) -> VersionManifest:
    """Read the manifest of a version; ValueError where it is broken or has been changed."""
    path = folder / MANIFEST
    manifest = read_record(path, VersionManifest, "a manifest of the registry")
    if manifest.format != VERSION_FORMAT:
        raise ValueError(
            f"{path} has format {manifest.format!r}: this version reads {VERSION_FORMAT!r}"
        )
    check_record(path, manifest, manifest.manifest_hash)
    return manifest
