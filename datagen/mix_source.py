"""Makes datasets that hold several tasks: SAT and ABD problems, shuffled together by key.

Each task's problems are drawn by its own source as if they stood alone, then merged: the order of
a split's tasks is a permutation keyed by (split, seed), so that it depends on nothing else.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datagen.keys import item_keys, key_words
from datagen.manifest import SCHEMA, SplitInfo
from datagen.mix_config import MixConfig
from datagen.shards import ShardWriter
from datagen.source import Baselines, Progress, Source, SplitParts, Written

CHUNK_PROBLEMS = 4096


@dataclass(frozen=True)
class MixRates:
    """The chance baselines of each task of a split."""

    parts: dict[str, Baselines]

    @property
    def method(self) -> str:
        """How each task's were measured."""
        return ", ".join(f"{task}: {part.method}" for task, part in self.parts.items())

    def rates(self) -> dict[str, Any]:
        """The baselines, by task."""
        return {task: part.rates() for task, part in self.parts.items()}


@dataclass(frozen=True)
class MixSource:
    """The problems of a `MixConfig`, made by one source for each task."""

    config: MixConfig
    sources: dict[str, Source]
    """By task, each for the splits in which the task has a share."""
    seed: int
    generator = "datagen.mix"

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the problems."""
        return tuple(self.sources)

    def resolved(self) -> dict[str, Any]:
        """What each task's source resolves to: their numbers of problems say the ratios."""
        own = {"seed": self.seed, "shard_rows": self.config.shard_rows}
        return own | {task: source.resolved() for task, source in self.sources.items()}

    def write(self, folder: Path, progress: Progress) -> Written:
        """Write each task's splits beside each other, merge them, and remove the parts."""
        written = {}
        for task, source in self.sources.items():
            part = folder / f".{task}"
            part.mkdir()
            written[task] = source.write(part, _named(progress, task))
        splits = {name: self._merge(folder, name, written) for name in self.config.splits}
        dropped: dict[str, int] = {}
        for task, parts in written.items():
            shutil.rmtree(folder / f".{task}")
            dropped |= {f"{task}_{reason}": count for reason, count in parts.dropped.items()}
        replies = next((parts.replies for parts in written.values() if parts.replies), None)
        return Written(splits, dropped, replies)

    def _merge(self, folder: Path, split: str, written: dict[str, Written]) -> SplitParts:
        parts = {task: w.splits[split] for task, w in written.items() if split in w.splits}
        counts = [part.info.num_problems for part in parts.values()]
        rows_each = [part.info.num_rows // part.info.num_problems for part in parts.values()]
        readers = [
            _Rows([folder / f".{task}" / shard.file for shard in part.info.shards])
            for task, part in parts.items()
        ]
        order = _task_order(split, self.seed, counts)
        writer = ShardWriter(folder, split, self.config.shard_rows)
        for start in range(0, len(order), CHUNK_PROBLEMS):
            chunk = order[start : start + CHUNK_PROBLEMS]
            writer.write(_interleaved(chunk, readers, rows_each, start))
        shards = writer.close()
        info = SplitInfo(
            num_rows=sum(shard.num_rows for shard in shards), num_problems=len(order), shards=shards
        )
        labels: Counter[str] = sum((part.difficulty for part in parts.values()), Counter())
        return SplitParts(info, labels, MixRates({t: part.chance for t, part in parts.items()}))


class _Rows:
    """The rows of some shards in order, taken so many at a time."""

    def __init__(self, paths: list[Path]) -> None:
        self._batches = self._read(paths)
        self._rest = SCHEMA.empty_table()

    def take(self, count: int) -> pa.Table:
        """Return the next `count` rows."""
        parts, missing = [self._rest], count - len(self._rest)
        while missing > 0:
            parts.append(next(self._batches))
            missing -= len(parts[-1])
        table = pa.concat_tables(parts)
        self._rest = table.slice(count)
        return table.slice(0, count)

    @staticmethod
    def _read(paths: list[Path]) -> Iterator[pa.Table]:
        for path in paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(CHUNK_PROBLEMS, columns=SCHEMA.names):
                    yield pa.Table.from_batches([batch], SCHEMA)


def _task_order(split: str, seed: int, counts: list[int]) -> NDArray[np.int64]:
    """The number of the task of each problem: a keyed shuffle of so many of each."""
    total = sum(counts)
    key = item_keys("mix", split, seed, [0])
    places = np.argsort(key_words(key, 2 * total).view("<u8")[0], kind="stable")
    order = np.empty(total, np.int64)
    order[places] = np.repeat(np.arange(len(counts)), counts)
    return order


def _interleaved(
    chunk: NDArray[np.int64], readers: list[_Rows], rows_each: list[int], start: int
) -> pa.Table:
    """The next rows of each task in the order of `chunk`; `index` becomes the problem's in all."""
    tables, places, problems = [], [], []
    lengths = np.array(rows_each)[chunk]
    begins = np.cumsum(lengths) - lengths
    for task, (reader, each) in enumerate(zip(readers, rows_each, strict=True)):
        own = np.flatnonzero(chunk == task)
        tables.append(reader.take(len(own) * each))
        places.append((begins[own][:, None] + np.arange(each)).ravel())
        problems.append(np.repeat(own + start, each))
    order = np.argsort(np.concatenate(places))
    table = pa.concat_tables(tables).combine_chunks().take(pa.array(order))
    indices = pa.array(np.concatenate(problems)[order])
    return table.set_column(table.schema.get_field_index("index"), "index", indices)


def _named(progress: Progress, task: str) -> Progress:
    """Report a task's splits under its name."""

    def report(split: str, done: int, total: int) -> None:
        progress(f"{split} {task}", done, total)

    return report
