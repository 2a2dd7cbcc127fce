"""Writes a version's rows as they come: problems as Parquet by split, or traces as JSONL."""

import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.formats.rows import Row
from datagen.manifest import SCHEMA, SplitInfo
from datagen.registry.choosing import ChosenRow
from datagen.registry.rows import row_split
from datagen.registry.stored import ORIGINS_FILE, ORIGINS_SCHEMA
from datagen.shards import ShardWriter, sync
from datagen.trace_files import TRACES_FILE
from datagen.traces import Trace
from reward_fns.records import Problem

TABLE_ROWS, SHARD_ROWS = 4096, 262_144
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class RowWriter(Protocol):
    """Takes rows one by one; closing makes its files whole."""

    def add(self, row: ChosenRow) -> None:
        """Write a row, soon."""

    def close(self) -> None:
        """Write what is left, and sync."""


class TracesWriter:
    """Writes `traces.jsonl`."""

    def __init__(self, folder: Path) -> None:
        """Open the file."""
        self._path = folder / TRACES_FILE
        self._file = self._path.open("wb")

    def add(self, row: ChosenRow) -> None:
        """Write a line."""
        self._file.write(row.line)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        sync(self._path)


class OriginsWriter:
    """Writes where each row comes from."""

    def __init__(self, folder: Path) -> None:
        """Open the file."""
        self._path = folder / ORIGINS_FILE
        self._writer = pq.ParquetWriter(
            self._path,
            ORIGINS_SCHEMA,
            compression="snappy",
            use_dictionary=["split", "source"],
            write_statistics=False,
        )
        self._rows: list[dict[str, Any]] = []

    def add(self, row: ChosenRow) -> None:
        """Write a row's origin."""
        self._rows.append(
            {
                "id": row.row.id,
                "split": row_split(row.row),
                "index": _index(row.row, row.position),
                "source": row.source,
                "position": row.position,
            }
        )
        if len(self._rows) == TABLE_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._writer.close()
        sync(self._path)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=ORIGINS_SCHEMA))
        self._rows = []


class ProblemsWriter:
    """Writes the shards of each split, in the order in which splits are first met."""

    def __init__(self, folder: Path) -> None:
        """Name the folder, which is made."""
        folder.mkdir()
        self._folder = folder
        self._splits: dict[str, _Split] = {}

    def add(self, row: ChosenRow) -> None:
        """Write a row to its split."""
        split = row_split(row.row)
        if split not in self._splits:
            if not _SPLIT_NAME.fullmatch(split):
                raise ValueError(f"row {row.row.id!r} is in split {split!r}: that names no file")
            self._splits[split] = _Split(self._folder, split)
        self._splits[split].add(row)

    def close(self) -> None:
        """Finish all shards."""
        for split in self._splits.values():
            split.close()

    @property
    def splits(self) -> dict[str, SplitInfo]:
        """What was written, once it is closed."""
        return {name: split.info for name, split in self._splits.items()}

    @property
    def difficulty(self) -> dict[str, dict[str, int]]:
        """Problems of each split by difficulty label."""
        return {name: dict(sorted(split.labels.items())) for name, split in self._splits.items()}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of all rows."""
        return tuple(sorted({task for split in self._splits.values() for task in split.tasks}))


class _Split:
    """One split that is being written; rows of a problem, as demonstrations, stand together."""

    def __init__(self, folder: Path, name: str) -> None:
        self._writer = ShardWriter(folder, name, SHARD_ROWS)
        self._rows: list[Problem] = []
        self._num_rows = 0
        self._problem: tuple[int, int] | None = None
        self.labels: Counter[str] = Counter()
        self.tasks: set[str] = set()
        self.info = SplitInfo(num_rows=0, num_problems=0, shards=())

    def add(self, row: ChosenRow) -> None:
        assert not isinstance(row.row, Trace)
        self._rows.append(row.row)
        self._num_rows += 1
        self.tasks.add(row.row.task)
        if (problem := (row.source, row.row.index)) != self._problem:
            self._problem = problem
            self.labels[_label(row.row.difficulty)] += 1
        if len(self._rows) == TABLE_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        shards = self._writer.close()
        num_problems = self.labels.total()
        self.info = SplitInfo(num_rows=self._num_rows, num_problems=num_problems, shards=shards)

    def _flush(self) -> None:
        if self._rows:
            columns = [[getattr(row, name) for row in self._rows] for name in SCHEMA.names]
            arrays = [pa.array(c, field.type) for c, field in zip(columns, SCHEMA, strict=True)]
            self._writer.write(pa.Table.from_arrays(arrays, schema=SCHEMA))
        self._rows = []


def _index(row: Row, position: int) -> int:
    return position if isinstance(row, Trace) else row.index


@lru_cache(maxsize=4096)
def _label(difficulty: str) -> str:
    try:
        return str(json.loads(difficulty)["label"])
    except (ValueError, KeyError, TypeError):
        return "none"
