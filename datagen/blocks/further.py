"""What the items of a split draw once they have lost their first problem, in rounds.

All that are known to need another problem draw it together, cut into blocks for the workers, until
no item is without one. Memory: a mark and a few numbers for each, no rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from datagen.blocks.claims import Claims, Draw
from datagen.blocks.drawing import Chances
from datagen.blocks.files import read_facts, read_rows, rows_path, write_array
from datagen.blocks.plan import BlockPlan, RedrawBlock

REDRAW_PROBLEMS = 512
"""Items that are drawn again at a time, by one worker."""


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A problem that an item draws again, with its rows."""

    index: int
    rows: pa.Table
    chances: Chances | None


@dataclass(frozen=True)
class FurtherDraws:
    """The further problems of a split's items."""

    plan: BlockPlan
    task: str
    split: str
    claims: Claims
    first_attempts: Mapping[int, int]
    """Which draw an item's first problem is, for any item."""
    draws: dict[int, list[Draw]] = field(default_factory=dict)
    """By item, in order."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Draws of all rounds that made no problem."""
    _rounds: list[list[int]] = field(default_factory=list)
    _attempts: dict[int, int] = field(default_factory=dict)

    def next_round(self, items: Sequence[int]) -> list[RedrawBlock]:
        """Write down who draws again, and from which attempt on; return it cut into blocks."""
        number = len(self._rounds)
        self._rounds.append(list(items))
        attempts = [self._attempts.get(i, self.first_attempts[i]) + 1 for i in items]
        lines = np.stack([np.array(items, np.int64), np.array(attempts, np.int64)], axis=1)
        write_array(self.plan.losers_path(self.task, self.split, number), lines)
        return list(self._blocks(number))

    def read_round(self) -> None:
        """Take in what the last round has drawn."""
        for block in self._blocks(len(self._rounds) - 1):
            facts = read_facts(self.plan.stem(block))
            self.dropped.update(facts.dropped)
            items = facts.indices.tolist()
            self._attempts.update(zip(items, facts.attempts.tolist(), strict=True))
            for index, draw in zip(items, self.claims.look_up(facts.marks), strict=True):
                self.draws.setdefault(index, []).append(draw)

    def last(self) -> Iterator[Redrawn]:
        """Yield the last problem that each item has drawn, in order of the items."""
        readers = [_RoundReader(self.plan, self._blocks(n)) for n in range(len(self._rounds))]
        rounds = {index: number for number, items in enumerate(self._rounds) for index in items}
        for index in sorted(rounds):
            yield readers[rounds[index]].find(index)

    def _blocks(self, number: int) -> Iterator[RedrawBlock]:
        count = len(self._rounds[number])
        for start in range(0, count, REDRAW_PROBLEMS):
            stop = min(start + REDRAW_PROBLEMS, count)
            yield RedrawBlock(self.task, self.split, number, start, stop)


class _RoundReader:
    """Finds the items of one round, asked for in order, with one block in memory."""

    def __init__(self, plan: BlockPlan, blocks: Iterator[RedrawBlock]) -> None:
        self._plan, self._blocks = plan, blocks
        self._items: Iterator[Redrawn] = iter(())

    def find(self, index: int) -> Redrawn:
        while True:
            for item in self._items:
                if item.index == index:
                    return item
            self._items = self._read(next(self._blocks))

    def _read(self, block: RedrawBlock) -> Iterator[Redrawn]:
        stem = self._plan.stem(block)
        facts, each = read_facts(stem), self._plan.makers[block.task].rows_each(block.split)
        (rows,) = read_rows(rows_path(stem))
        for place, index in enumerate(facts.indices.tolist()):
            yield Redrawn(index, rows.slice(place * each, each), facts.chances.get(index))
