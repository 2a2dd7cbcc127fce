"""Finds the problems that are taken when an item's turn comes, in eight bytes for each item.

Each item's first problem is known by its mark; an item loses it to any split before, and to any
item before it in its own split. What losers draw instead may in turn be a later item's first
problem: that item then loses it, too.
"""

import heapq
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

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
        values = self.own.values
        self._repeated = Marks(np.unique(values[1:][values[1:] == values[:-1]]))
        self._first = np.full(len(self._repeated.values), _NONE)
        self._losers = self._find_losers()

    def resolve(self, further: Mapping[int, Sequence[int]]) -> Resolution:
        """Give each item, in order, the first of its problems that is free.

        `further` are the marks that items have drawn after their first ones. Items that are
        missing hold nothing: what they take later only adds to what is taken, so that what is lost
        now stays lost, and whoever is missing has to draw once more, whatever the others draw.
        """
        found, again = Resolution(), set[int]()
        waiting = self._losers.tolist()  # in order, and so a heap
        while waiting:
            index = heapq.heappop(waiting)
            for mark in (int(self.marks[index]), *further.get(index, ())):
                owner = self._owner(index, mark, again)
                if owner is None:
                    again.add(mark)
                    robbed = self._first_item(mark)
                    if robbed is not None:
                        heapq.heappush(waiting, robbed)
                    break
                found.dropped[owner] += 1
            else:
                found.missing.append(index)
        return found

    def _find_losers(self) -> NDArray[np.int64]:
        """Find the items, in order, whose first problem is taken by another."""
        found = [np.empty(0, np.int64)]
        for start in range(0, len(self.marks), STEP):
            part = np.asarray(self.marks[start : start + STEP])
            lost = np.zeros(len(part), np.bool_)
            for marks in self.earlier:
                lost |= marks.among(part)
            again = np.flatnonzero(self._repeated.among(part))
            numbers = np.searchsorted(self._repeated.values, part[again])
            np.minimum.at(self._first, numbers, again + start)
            lost[again] |= self._first[numbers] != again + start
            found.append(np.flatnonzero(lost) + start)
        return np.concatenate(found)

    def _owner(self, index: int, mark: int, again: Container[int]) -> str | None:
        """How a problem that an item draws counts: as a leak, a duplicate, or None, free."""
        if any(mark in marks for marks in self.earlier):
            return "leaks"
        if mark in again:
            return "duplicates"
        first = self._first_item(mark)
        return None if first is None or first >= index else "duplicates"

    def _first_item(self, mark: int) -> int | None:
        """The first item whose first problem has this mark."""
        if mark in self._repeated:
            return int(self._first[np.searchsorted(self._repeated.values, np.uint64(mark))])
        if mark not in self.own:
            return None
        for start in range(0, len(self.marks), STEP):
            places = np.flatnonzero(self.marks[start : start + STEP] == np.uint64(mark))
            if len(places):
                return start + int(places[0])
        raise AssertionError(f"mark {mark} is not where it was")
