"""Gives each item that lost its first problem its next one that is free, in order of the items."""

import heapq
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.blocks.claims import Claims
from datagen.blocks.drawing import Chances, Drawing, Maker
from datagen.draw import MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Redrawn:
    """An item's further problem."""

    index: int
    attempt: int
    mark: int
    rows: pa.Table
    chances: Chances | None


@dataclass
class Settlement:
    """Settles one split. `redrawn` holds the second problem of each loser, in their order."""

    maker: Maker
    split: str
    claims: Claims
    losers: NDArray[np.int64]
    redrawn: Iterator[Redrawn]
    first_attempts: Mapping[int, int]
    """Which draw an item's first problem is, for any item."""
    earlier: Mapping[str, Container[int]]
    dropped: Counter[str] = field(default_factory=Counter)

    def settled(self) -> Iterator[Redrawn]:
        """Yield the items that get another problem, in order, with the problem that each gets."""
        later: list[int] = []
        losers = iter(self.losers.tolist())
        loser = next(losers, None)
        while later or loser is not None:
            if loser is not None and (not later or loser < later[0]):
                index, loser = loser, next(losers, None)
                mark = int(self.claims.marks[index])
                owner, drawn = self.claims.owner(index, mark), next(self.redrawn)
                assert owner and drawn.index == index
                self.dropped[owner] += 1
            else:
                index = heapq.heappop(later)
                self.dropped["duplicates"] += 1
                drawn = self._draw(index, self.first_attempts[index] + 1)
            while owner := self.claims.owner(index, drawn.mark):
                self.dropped[owner] += 1
                drawn = self._draw(index, drawn.attempt + 1)
            robbed = self.claims.take(drawn.mark)
            if robbed is not None:
                heapq.heappush(later, robbed)
            yield drawn

    def _draw(self, index: int, attempt: int) -> Redrawn:
        if attempt >= MAX_ATTEMPTS:
            raise self.maker.exhausted(self.split, index)
        drawing = self.maker.draw(self.split, np.array([index]), np.array([attempt]), self.earlier)
        self.dropped.update(drawing.dropped)
        return next(single(drawing, self.maker.rows_each(self.split)))


def single(drawing: Drawing, rows_each: int) -> Iterator[Redrawn]:
    """Yield the items of a drawing one by one."""
    columns = (drawing.indices, drawing.attempts, drawing.marks)
    items = zip(*(column.tolist() for column in columns), strict=True)
    for place, (index, attempt, mark) in enumerate(items):
        rows = drawing.rows.slice(place * rows_each, rows_each)
        yield Redrawn(index, attempt, mark, rows, drawing.chances.get(index))
