"""Finds the problems that are taken when an item's turn comes, in eight bytes for each item.

Each item's first problem is known by its mark; an item loses it to any split before, and to any
item before it in its own split. What losers draw instead may in turn be a later item's first
problem: that item then loses it, too.
"""

from collections.abc import Sequence

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
        self._drawn_again: set[int] = set()

    def losers(self) -> NDArray[np.int64]:
        """Return the items, in order, whose first problem is taken by another."""
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

    def owner(self, index: int, mark: int) -> str | None:
        """Return how a problem that an item draws counts: as a leak, a duplicate, or None, free."""
        if any(mark in marks for marks in self.earlier):
            return "leaks"
        if mark in self._drawn_again:
            return "duplicates"
        first = self._first_item(mark)
        return None if first is None or first >= index else "duplicates"

    def take(self, mark: int) -> int | None:
        """Take a problem that is free, drawn again; return the later item that loses it."""
        later = self._first_item(mark)
        self._drawn_again.add(mark)
        return later

    def taken(self) -> NDArray[np.uint64]:
        """Return all marks that the split has taken, sorted."""
        drawn = np.array(sorted(self._drawn_again), np.uint64)
        return np.sort(np.concatenate([self.own.values, drawn]))

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
