"""The files of a version, as they are read back: rows, and where each row comes from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.formats.rows import Row
from datagen.manifest import MANIFEST, file_sha256, read_split
from datagen.registry.manifest import VersionManifest
from datagen.registry.rows import SourcedRow
from datagen.trace_files import TRACES_FILE, read_traces

PROBLEMS_FOLDER = "problems"
"""A dataset by itself, which whatever reads our datasets can read."""
ORIGINS_FILE = "origins.parquet"
ORIGINS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("index", pa.int64()),
        ("source", pa.int32()),
        ("position", pa.int64()),
    ]
)
BATCH_ROWS = 4096


def stored_rows(folder: Path, manifest: VersionManifest, split: str) -> Iterator[SourcedRow]:
    """Yield the rows of a split with their origins, every file checked before it is used."""
    origins = stored_origins(folder, manifest)
    own = (origin for origin in origins if origin["split"] == split)
    for row, origin in zip(split_rows(folder, manifest, split), own, strict=True):
        if row.id != origin["id"]:
            raise ValueError(f"{folder / ORIGINS_FILE} names {origin['id']!r} for row {row.id!r}")
        yield SourcedRow(row, origin["source"], origin["position"])


def split_rows(folder: Path, manifest: VersionManifest, split: str) -> Iterator[Row]:
    """Yield the rows of a split."""
    if manifest.kind == "traces":
        return read_traces(folder / TRACES_FILE, manifest.files[TRACES_FILE].sha256)
    check_file(folder, manifest, f"{PROBLEMS_FOLDER}/{MANIFEST}")
    return read_split(folder / PROBLEMS_FOLDER, split)


def stored_origins(folder: Path, manifest: VersionManifest) -> Iterator[dict[str, Any]]:
    """Yield where each row comes from, in the order in which the rows were taken."""
    check_file(folder, manifest, ORIGINS_FILE)
    with pq.ParquetFile(folder / ORIGINS_FILE) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield from batch.to_pylist()


def check_file(folder: Path, manifest: VersionManifest, name: str) -> None:
    """Raise ValueError if a file of a version is missing, or its bytes have changed."""
    path, info = folder / name, manifest.files.get(name)
    if info is None:
        raise ValueError(f"the manifest of {folder} names no file {name}: build the version again")
    if ".." in name.split("/") or name.startswith("/"):
        raise ValueError(f"manifest of {folder} names {name!r}: files lie in the version's folder")
    if not path.is_file():
        raise ValueError(f"{path} is missing: restore the file, or build the version anew")
    if path.stat().st_size != info.num_bytes or file_sha256(path) != info.sha256:
        raise ValueError(f"{path} does not match its manifest: its bytes have changed")
