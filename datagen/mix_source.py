"""Makes datasets that hold several tasks: SAT and ABD problems, shuffled together by key.

Each task's problems are drawn by its own source as if they stood alone, then merged.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.interleave import CHUNK_PROBLEMS, RowStream, interleaved, task_order
from datagen.manifest import SCHEMA, SplitInfo
from datagen.mix_config import MixConfig
from datagen.shards import ShardWriter
from datagen.source import Baselines, Progress, Source, SplitParts, Written


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
            RowStream(_tables([folder / f".{task}" / shard.file for shard in part.info.shards]))
            for task, part in parts.items()
        ]
        order = task_order(split, self.seed, counts)
        writer = ShardWriter(folder, split, self.config.shard_rows)
        for start in range(0, len(order), CHUNK_PROBLEMS):
            chunk = order[start : start + CHUNK_PROBLEMS]
            writer.write(interleaved(chunk, readers, rows_each, start))
        shards = writer.close()
        info = SplitInfo(
            num_rows=sum(shard.num_rows for shard in shards), num_problems=len(order), shards=shards
        )
        labels: Counter[str] = sum((part.difficulty for part in parts.values()), Counter())
        return SplitParts(info, labels, MixRates({t: part.chance for t, part in parts.items()}))


def _tables(paths: list[Path]) -> Iterator[pa.Table]:
    """The rows of some shards, in order."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(CHUNK_PROBLEMS, columns=SCHEMA.names):
                yield pa.Table.from_batches([batch], SCHEMA)


def _named(progress: Progress, task: str) -> Progress:
    """Report a task's splits under its name."""

    def report(split: str, done: int, total: int) -> None:
        progress(f"{split} {task}", done, total)

    return report
