"""From a row back to what made it: the source with its generator, seed and config, and the place.

find_lineage(Registry(Path("datasets")), "sat:train:0:17")
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen.registry.manifest import SourceInfo, VersionManifest
from datagen.registry.stored import BATCH_ROWS, ORIGINS_FILE, check_file, split_rows
from datagen.registry.versions import Registry


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a row of a version comes from."""

    row_id: str
    dataset_key: str
    content_hash: str
    split: str
    index: int
    """Index of the problem in its split, or place of the trace among those that were made."""
    position: int
    """Place of the row among all of its source, counted from 0."""
    source: SourceInfo
    meta: dict[str, Any] | None
    """What a trace says of itself."""


def find_lineage(registry: Registry, row_id: str, keys: Sequence[str] = ()) -> list[Lineage]:
    """Return the lineage of a row in each version that has it, of `keys` or of all.

    Raises ValueError if none has it.
    """
    chosen = list(keys) or registry.all_keys()
    found = [lineage for key in chosen for lineage in _in_version(registry, key, row_id)]
    if not found:
        where = ", ".join(keys) or f"any dataset of the registry {registry.folder}"
        raise ValueError(f"there is no row {row_id!r} in {where}: ids are exact, as exports show")
    return found


def _in_version(registry: Registry, key: str, row_id: str) -> Iterator[Lineage]:
    manifest, folder = registry.load(key), registry.path(key)
    check_file(folder, manifest, ORIGINS_FILE)
    with pq.ParquetFile(folder / ORIGINS_FILE) as file:
        for batch in file.iter_batches(batch_size=16 * BATCH_ROWS):
            for origin in batch.filter(pc.equal(batch.column("id"), row_id)).to_pylist():
                yield Lineage(
                    row_id,
                    key,
                    manifest.content_hash,
                    origin["split"],
                    origin["index"],
                    origin["position"],
                    manifest.sources[origin["source"]],
                    _meta(registry, key, manifest, origin["id"]),
                )


def _meta(
    registry: Registry, key: str, manifest: VersionManifest, row_id: str
) -> dict[str, Any] | None:
    if manifest.kind == "problems":
        return None
    (split,) = manifest.rows
    rows = split_rows(registry.path(key), manifest, split)
    return next((getattr(row, "meta", None) for row in rows if row.id == row_id), None)
