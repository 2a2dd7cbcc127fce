"""A block on disk: its rows, and beside them, written last, the facts about them.

`NAME.rows` is an Arrow IPC file, compressed; `NAME.facts` holds index, attempt and mark of each
item, and in its schema the counts and the sha256 of the rows. A block without facts is none.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.blocks.drawing import Chances, Drawing
from datagen.manifest import SCHEMA, file_sha256
from datagen.shards import disk_errors, partial_path, sync

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the items of a block."""

    indices: NDArray[np.int64]
    attempts: NDArray[np.int64]
    marks: NDArray[np.uint64]
    labels: Counter[str]
    chances: dict[int, Chances]
    dropped: Counter[str]
    rows_sha256: str


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` that becomes it, synced, when the block ends well."""
    partial = partial_path(path)
    try:
        with disk_errors(path):
            yield partial
            sync(partial)
            partial.replace(path)
            sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_array(path: Path, array: NDArray) -> None:
    """Write a NumPy array, whole or not at all."""
    with whole_path(path) as partial, partial.open("wb") as file:
        np.save(file, array)


def facts_path(stem: Path) -> Path:
    """Where the facts of a block lie: the block is whole if they are there."""
    return stem.with_name(stem.name + ".facts")


def rows_path(stem: Path) -> Path:
    """Where the rows of a block lie."""
    return stem.with_name(stem.name + ".rows")


def settled_path(stem: Path) -> Path:
    """Where the rows of those items lie that another problem was found for."""
    return stem.with_name(stem.name + ".settled")


def write_rows(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write rows, each table as a batch of its own."""
    with (
        whole_path(path) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, SCHEMA, options=_COMPRESSED) as writer,
    ):
        for table in tables:
            writer.write_table(table.combine_chunks())


def read_rows(path: Path, skip: int = 0) -> Iterator[pa.Table]:
    """Yield the rows of a file batch by batch, without the first `skip`."""
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            if skip < len(batch):
                yield pa.Table.from_batches([batch.slice(skip)], SCHEMA)
            skip = max(0, skip - len(batch))


def write_block(stem: Path, drawings: Iterable[Drawing]) -> Facts:
    """Write what is drawn, which is held in memory one drawing at a time."""
    columns: list[tuple[NDArray, NDArray, NDArray]] = []
    labels: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    chances: dict[int, Chances] = {}

    def tables() -> Iterator[pa.Table]:
        for drawing in drawings:
            columns.append((drawing.indices, drawing.attempts, drawing.marks))
            labels.update(drawing.labels)
            dropped.update(drawing.dropped)
            chances.update(drawing.chances)
            yield drawing.rows

    write_rows(rows_path(stem), tables())
    indices, attempts, marks = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    digest = file_sha256(rows_path(stem))
    facts = Facts(indices, attempts, marks, labels, chances, dropped, digest)
    _write_facts(facts_path(stem), facts)
    return facts


def read_facts(stem: Path) -> Facts:
    """Read the facts of a block that is whole."""
    with pa.memory_map(str(facts_path(stem))) as file, pa.ipc.open_file(file) as reader:
        table = reader.read_all()
        told = json.loads(table.schema.metadata[b"facts"])
        indices, attempts, marks = (column.to_numpy().copy() for column in table.columns)
    chances = {int(index): own for index, own in told["chances"].items()}
    counts = (Counter(told["labels"]), chances, Counter(told["dropped"]))
    return Facts(indices, attempts, marks, *counts, told["rows_sha256"])


def _write_facts(path: Path, facts: Facts) -> None:
    told = {
        "labels": facts.labels,
        "chances": facts.chances,
        "dropped": facts.dropped,
        "rows_sha256": facts.rows_sha256,
    }
    columns = {"index": facts.indices, "attempt": facts.attempts, "mark": facts.marks}
    table = pa.table(columns).replace_schema_metadata({"facts": json.dumps(told)})
    with (
        whole_path(path) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
