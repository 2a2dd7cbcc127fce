"""Writes collected evaluations: a dataset with its manifest, and beside it upstream's own file."""

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pyarrow as pa

from datagen.evaluations.collect import Collection
from datagen.formats.export import Exported, export_rows
from datagen.manifest import (
    FORMAT,
    MANIFEST,
    SCHEMA,
    Manifest,
    SplitInfo,
    canonical_hash,
    config_identity,
    dataset_hash,
    read_split,
    write_record,
)
from datagen.shards import ShardWriter, sync, whole_folder

GENERATOR, GENERATOR_VERSION = "datagen.evaluations", "1"
SPLIT, SHARD_ROWS, TABLE_ROWS = "train", 262_144, 256
EXPORT = "affine_sft"


def write_evaluations(
    collection: Collection, folder: Path, now: datetime.datetime
) -> tuple[Manifest, Exported]:
    """Read a collection into a new dataset at `folder`; return its manifest and upstream's file.

    That file is `folder` with `.json` behind it; the dataset appears when both are written. Raises
    ValueError, and leaves nothing, if one of them exists or no row is kept.
    """
    refuse_existing(folder)
    with whole_folder(folder) as partial:
        info, labels = _write_rows(collection, partial)
        if not info.num_rows:
            raise ValueError(f"no row is kept: {told(collection.dropped)}")
        manifest = _manifest(collection, folder.name, info, labels, now)
        path = partial / MANIFEST
        manifest = write_record(path, manifest)
        sync(path)
        exported = export_rows(EXPORT, read_split(partial, SPLIT), upstream_file(folder))
    return manifest, exported


def upstream_file(folder: Path) -> Path:
    """Return where upstream's file of a dataset lies."""
    return folder.parent / f"{folder.name}.json"


def refuse_existing(folder: Path) -> None:
    """Raise ValueError if there is anything where a dataset or its file is to be."""
    for path in (folder, upstream_file(folder)):
        if path.exists():
            raise ValueError(f"{path} exists: choose another folder")


def told(counts: dict[str, int]) -> str:
    """Write counts as `3 duplicate, 1 object truncated`."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing was read"


def _write_rows(collection: Collection, folder: Path) -> tuple[SplitInfo, Counter[str]]:
    writer = ShardWriter(folder, SPLIT, SHARD_ROWS)
    labels: Counter[str] = Counter()
    for rows in _groups(collection, labels):
        writer.write(pa.Table.from_pylist(rows, schema=SCHEMA))
    shards = writer.close()
    num_rows = labels.total()
    return SplitInfo(num_rows=num_rows, num_problems=num_rows, shards=shards), labels


def _groups(collection: Collection, labels: Counter[str]) -> Iterator[list[dict[str, object]]]:
    """The rows, so many at a time that a table of them is small."""
    evaluations = enumerate(collection)
    while group := list(islice(evaluations, TABLE_ROWS)):
        labels.update(evaluation.label for _, evaluation in group)
        yield [asdict(evaluation.problem(SPLIT, index)) for index, evaluation in group]


def _manifest(
    collection: Collection,
    name: str,
    info: SplitInfo,
    labels: Counter[str],
    now: datetime.datetime,
) -> Manifest:
    chosen = collection.chosen
    config = collection.config.model_dump(mode="json") | {
        "windows": [chosen.first_window, chosen.last_window],
        "objects": canonical_hash(list(chosen.keys)),
    }
    config_hash = config_identity(GENERATOR, GENERATOR_VERSION, config)
    return Manifest(
        format=FORMAT,
        name=name,
        tasks=tuple(sorted(collection.tasks)),
        seed=0,
        generator=GENERATOR,
        generator_version=GENERATOR_VERSION,
        config=config,
        config_hash=config_hash,
        dataset_hash=dataset_hash(config_hash, {SPLIT: info}),
        columns=tuple(SCHEMA.names),
        splits={SPLIT: info},
        difficulty={SPLIT: dict(sorted(labels.items()))},
        chance={SPLIT: {}},
        chance_method={SPLIT: "none"},
        dropped=collection.dropped,
        created_at=now.isoformat(timespec="seconds"),
    )
