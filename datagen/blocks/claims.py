"""Finds the problems that are taken when an item's turn comes, in eight bytes for each item.

Each item's first problem is known by its mark; an item loses it to any split before, and to any
item before it in its own split. What losers draw instead may in turn be a later item's first
problem: that item then loses it, too.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP = 1 << 20
_NONE = np.iinfo(np.int64).max


class Marks:
    """Marks that are taken, sorted, in memory or in a file that is mapped into it."""

    def __init__(self, values: NDArray[np.uint64]) -> None:
        self.values = values

    def __contains__(self, mark: object) -> bool:
        assert isinstance(mark, int)
        return bool(self.among(np.array([mark], np.uint64))[0])

    def among(self, marks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell of each mark whether it is taken."""
        if not len(self.values):
            return np.zeros(len(marks), np.bool_)
        places = np.minimum(np.searchsorted(self.values, marks), len(self.values) - 1)
        return np.asarray(self.values[places] == marks)


class Draw(NamedTuple):
    """A problem that an item has drawn, and who had it before any item drew again."""

    mark: int
    leaks: bool
    """Whether a split before has taken it."""
    first: int
    """The first item of the split whose first problem it is; a number above all where none is."""


@dataclass
class Resolution:
    """Who is without a problem, as far as is drawn; everyone else has the last that they drew."""

    missing: list[int] = field(default_factory=list)
    """Items, in order, that have lost all they drew."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Problems that were taken, as `leaks` by splits before, as `duplicates` by items before."""


class Claims:
    """The claims of one split's items, by their indices."""

    def __init__(self, marks: NDArray[np.uint64], earlier: Sequence[Marks]) -> None:
        """Take the marks of the items' first problems, and of the splits that claim before."""
        self.marks = marks
        self.earlier = earlier
        self.own = Marks(np.sort(marks))
        losers = self._losers()
        drawn = self.look_up(np.asarray(marks[losers]))
        self._lost = dict(zip(losers.tolist(), drawn, strict=True))

    def look_up(self, marks: NDArray[np.uint64]) -> list[Draw]:
        """Tell of problems that are drawn, whose marks these are, who has them."""
        leaks = self._leaks(marks)
        firsts = np.full(len(marks), _NONE)
        values, places = np.unique(marks[self.own.among(marks)], return_inverse=True)
        if len(values):
            found = np.full(len(values), _NONE)
            for start in range(0, len(self.marks), STEP):
                part = np.asarray(self.marks[start : start + STEP])
                again = np.flatnonzero(Marks(values).among(part))
                np.minimum.at(found, np.searchsorted(values, part[again]), again + start)
            firsts[self.own.among(marks)] = found[places]
        columns = (marks.tolist(), leaks.tolist(), firsts.tolist())
        return [Draw(*row) for row in zip(*columns, strict=True)]

    def resolve(self, further: Mapping[int, Sequence[Draw]]) -> Resolution:
        """Give each item, in order, the first of its problems that is free.

        `further` is what items have drawn after their first problem. Items that are missing hold
        nothing: what they take later only adds to what is taken, so that what is lost now stays
        lost, and whoever is missing has to draw once more, whatever the others draw.
        """
        found, again = Resolution(), set[int]()
        waiting = sorted(self._lost)  # in order, and so a heap
        while waiting:
            index = heapq.heappop(waiting)
            first = self._lost.get(index)
            found.dropped["leaks" if first and first.leaks else "duplicates"] += 1
            for draw in further.get(index, ()):
                if draw.leaks:
                    found.dropped["leaks"] += 1
                elif draw.mark in again or draw.first < index:
                    found.dropped["duplicates"] += 1
                else:
                    again.add(draw.mark)
                    if draw.first != _NONE:
                        heapq.heappush(waiting, draw.first)
                    break
            else:
                found.missing.append(index)
        return found

    def _leaks(self, marks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell of each mark whether a split before has taken it."""
        leaks = np.zeros(len(marks), np.bool_)
        for taken in self.earlier:
            leaks |= taken.among(marks)
        return leaks

    def _losers(self) -> NDArray[np.int64]:
        """Find the items, in order, whose first problem is taken by another."""
        values = self.own.values
        repeated = Marks(np.unique(values[1:][values[1:] == values[:-1]]))
        firsts = np.full(len(repeated.values), _NONE)
        found = [np.empty(0, np.int64)]
        for start in range(0, len(self.marks), STEP):
            part = np.asarray(self.marks[start : start + STEP])
            lost = self._leaks(part)
            again = np.flatnonzero(repeated.among(part))
            numbers = np.searchsorted(repeated.values, part[again])
            np.minimum.at(firsts, numbers, again + start)
            lost[again] |= firsts[numbers] != again + start
            found.append(np.flatnonzero(lost) + start)
        return np.concatenate(found)
