"""Settles a split of a task: from the marks of its blocks to the rows that replace what was taken.

Memory: the marks of the split, eight bytes a problem, and those of the splits before it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.blocks.claims import Claims
from datagen.blocks.drawing import Chances
from datagen.blocks.files import (
    Facts,
    read_facts,
    settled_path,
    whole_path,
    write_array,
    write_rows,
)
from datagen.blocks.further import FurtherDraws
from datagen.blocks.parts import earlier_marks
from datagen.blocks.plan import BlockPlan, Part


@dataclass(frozen=True)
class Settled:
    """A split of a task, all of its problems certain."""

    labels: Counter[str]
    chances: list[Chances]
    dropped: Counter[str]


def settle_split(
    plan: BlockPlan, task: str, split: str, make: Callable[[Sequence[Part]], None]
) -> Settled:
    """Find what is taken, have it drawn again by `make`, and write what replaces it, once."""
    told = plan.work / "parts" / f"{task}.{split}.settled.json"
    if not told.is_file():
        settled = _settle(plan, task, split, make)
        _write_json(told, settled)
    return _read_json(told)


def _settle(
    plan: BlockPlan, task: str, split: str, make: Callable[[Sequence[Part]], None]
) -> Settled:
    first = _Blocks(plan, task, split)
    claims = Claims(first.marks(), list(earlier_marks(plan, task, split).values()))
    further = FurtherDraws(plan, task, split, claims, first)
    while (found := claims.resolve(further.draws)).missing:
        make(further.next_round(found.missing))
        further.read_round()
    chances = dict(first.chances)
    size = plan.block_size(task, split)
    for number, items in groupby(further.last(), key=lambda item: item.index // size):
        own = list(items)
        chances |= {item.index: item.chances for item in own if item.chances is not None}
        path = settled_path(plan.stem(plan.block(task, split, number)))
        write_rows(path, (item.rows for item in own))
    again = [draws[-1].mark for draws in further.draws.values()]
    taken = np.sort(np.concatenate([claims.own.values, np.array(again, np.uint64)]))
    write_array(plan.marks_path(task, split), taken)
    dropped = first.dropped + further.dropped + found.dropped
    dropped.update(duplicates=0, leaks=0)
    return Settled(first.labels, [chances[index] for index in sorted(chances)], dropped)


class _Blocks(Mapping[int, int]):
    """The blocks of a split as they were drawn; as a mapping, each item's attempt."""

    def __init__(self, plan: BlockPlan, task: str, split: str) -> None:
        self.plan, self.task, self.split = plan, task, split
        self.labels: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.chances: dict[int, Chances] = {}
        self._held: tuple[int, Facts] | None = None

    def __len__(self) -> int:
        return self.plan.makers[self.task].num_problems(self.split)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __getitem__(self, index: int) -> int:
        size = self.plan.block_size(self.task, self.split)
        number, place = divmod(index, size)
        if self._held is None or self._held[0] != number:
            block = self.plan.block(self.task, self.split, number)
            self._held = number, read_facts(self.plan.stem(block))
        return int(self._held[1].attempts[place])

    def marks(self) -> NDArray[np.uint64]:
        """Read all blocks once; return their marks, in a file that is mapped into memory."""
        path = self.plan.work / "parts" / f"{self.task}.{self.split}.drawn.npy"
        marks = np.lib.format.open_memmap(path, "w+", np.uint64, (len(self),))
        for block in self.plan.blocks(self.task, self.split):
            facts = read_facts(self.plan.stem(block))
            marks[block.start : block.stop] = facts.marks
            self.labels.update(facts.labels)
            self.dropped.update(facts.dropped)
            self.chances.update(facts.chances)
        return marks


def _write_json(path: Path, settled: Settled) -> None:
    told = {"labels": settled.labels, "chances": settled.chances, "dropped": settled.dropped}
    with whole_path(path) as partial:
        partial.write_text(json.dumps(told), encoding="utf-8")


def _read_json(path: Path) -> Settled:
    told: dict[str, Any] = json.loads(path.read_bytes())
    return Settled(Counter(told["labels"]), told["chances"], Counter(told["dropped"]))
