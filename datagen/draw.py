"""Draws a split's problems: each from its own key, none twice in the whole dataset.

An item's draws are a fixed sequence (attempt 0, 1, …) of its own; it takes the first that fits and
that no item before it has taken. Splits claim in a fixed order (`claim_order`), items by index, so
that a dataset is the same however it is cut into batches.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datagen.config import SatConfig, SizeConfig
from datagen.fingerprints import fingerprints
from datagen.keys import item_keys, key_fraction
from datagen.sat import FAMILIES, TASK, SatBatch
from datagen.solver import solve

MAX_ATTEMPTS = 1000
"""Draws of one item after which its size is held to have no such problem left."""
CHUNK_ROWS, CHUNK_LITERALS = 4096, 1 << 18
_SIZE, _STATUS, KIND = 0, 1, 2
"""Which 64 bits of an item's key choose its size, its satisfiability, its demonstrations."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Problems of one size within a chunk: their places in it, indices, attempts and keys."""

    batch: SatBatch
    places: NDArray[np.int64]
    indices: NDArray[np.int64]
    attempts: NDArray[np.int64]
    keys: list[bytes]


class Demonstrates(Protocol):
    """A split's settings, of any task."""

    @property
    def demonstrations(self) -> object | None:
        """Settings of its demonstrations, None if its rows hold certified answers."""


class HasSplits(Protocol):
    """A dataset's config, of any task."""

    @property
    def split_configs(self) -> Mapping[str, Demonstrates]:
        """The splits, each with its settings."""


def claim_order(config: HasSplits) -> list[str]:
    """Return the splits in the order in which they claim problems: by name, training splits last.

    Training splits are those with demonstrations or with a name that begins with `train`, so that
    a larger training set leaves the problems that models are measured on as they were.
    """
    splits = config.split_configs
    return sorted(
        splits,
        key=lambda name: (bool(splits[name].demonstrations), name.startswith("train"), name),
    )


class Draw:
    """Draws all splits of one dataset; holds the fingerprints taken so far and the drop counts."""

    def __init__(self, config: SatConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.taken: dict[str, set[int]] = {}
        self.dropped: Counter[str] = Counter(duplicates=0, leaks=0)

    def chunks(self, split: str) -> Iterator[list[Drawn]]:
        """Yield the problems of a split chunk by chunk, in each grouped by size."""
        count, step = self.config.split_configs[split].num_problems, chunk_rows(self.config, split)
        for start in range(0, count, step):
            indices = np.arange(start, min(start + step, count))
            yield self._claim(split, self.propose(split, indices), len(indices))

    def propose(
        self, split: str, indices: NDArray[np.int64], attempts: NDArray[np.int64] | None = None
    ) -> list[Drawn]:
        """Draw each item's first problem from its attempt on (0), whatever others have taken."""
        sizes = self.config.split_configs[split].sizes or self.config.sizes
        keys = item_keys(TASK, split, self.seed, indices.tolist())
        attempts = np.zeros(len(indices), np.int64) if attempts is None else attempts
        kinds = attempts * len(sizes) + _choose_sizes(sizes, keys)
        drawn = []
        for kind in np.unique(kinds).tolist():
            attempt, number = divmod(kind, len(sizes))
            places = np.flatnonzero(kinds == kind)
            own = [keys[place] for place in places.tolist()]
            size = sizes[number]
            drawn.append(self._propose(split, size, places, indices[places], own, attempt))
        return drawn

    def exhausted(self, split: str, index: int) -> ValueError:
        """Return the error for an item that has no draws left."""
        sizes = self.config.split_configs[split].sizes or self.config.sizes
        key = item_keys(TASK, split, self.seed, [index])
        return self._exhausted(split, sizes[_choose_sizes(sizes, key)[0]])

    def _propose(
        self,
        split: str,
        size: SizeConfig,
        places: NDArray[np.int64],
        indices: NDArray[np.int64],
        keys: list[bytes],
        attempt: int = 0,
    ) -> Drawn:
        """Draw each item from `attempt` on until it fits, whatever others have taken."""
        draws = keys if attempt == 0 else self._attempt_keys(split, indices, attempt)
        batch, misfits = self._certified(FAMILIES[self.config.family](size, draws), keys)
        attempts = np.full(len(indices), attempt)
        while len(misfits):
            attempt += 1
            self.dropped["misfits"] += len(misfits)
            if attempt >= MAX_ATTEMPTS:
                raise self._exhausted(split, size)
            draws = self._attempt_keys(split, indices[misfits], attempt)
            again, still = self._certified(
                FAMILIES[self.config.family](size, draws), [keys[i] for i in misfits.tolist()]
            )
            _overwrite(batch, misfits, again)
            attempts[misfits] = attempt
            misfits = misfits[still]
        return Drawn(batch, places, indices, attempts, keys)

    def _attempt_keys(self, split: str, indices: NDArray[np.int64], attempt: int) -> list[bytes]:
        return item_keys(TASK, split, self.seed, indices.tolist(), attempt)

    def _certified(
        self, batch: SatBatch, keys: Sequence[bytes]
    ) -> tuple[SatBatch, NDArray[np.int64]]:
        """Solve what is not planted; return the batch and the rows that do not fit.

        A row fits if it is satisfiable or not as its key wants it, and, in the compact style whose
        prompt does not tell n, if the last variable occurs.
        """
        misfit = np.zeros(len(batch), np.bool_)
        if self.config.family == "uniform":
            batch = _solved(batch)
            misfit |= batch.satisfiable_N == (
                key_fraction(keys, _STATUS) < self.config.unsat_fraction
            )
        if self.config.style == "compact":
            misfit |= ~(batch.codes_NMK >= 2 * batch.size.n - 2).any(axis=(1, 2))
        return batch, np.flatnonzero(misfit)

    def _claim(self, split: str, drawn: list[Drawn], num_rows: int) -> list[Drawn]:
        """Redraw what is taken already, in order of the items, and take the rest."""
        marks = np.empty(num_rows, np.uint64)
        for group in drawn:
            marks[group.places] = fingerprints(group.batch.codes_NMK)
        values, own = marks.tolist(), self.taken.setdefault(split, set())
        new = set(values)
        if len(new) == num_rows and all(new.isdisjoint(taken) for taken in self.taken.values()):
            own |= new
            return drawn
        where = {
            place: (group, row)
            for group in drawn
            for row, place in enumerate(group.places.tolist())
        }
        for place, value in enumerate(values):
            own.add(self._redraw(split, *where[place], value))
        return drawn

    def _redraw(self, split: str, group: Drawn, row: int, mark: int) -> int:
        """Replace a problem that is taken by its item's next that is not; return its mark."""
        size, places, indices = group.batch.size, group.places[[row]], group.indices[[row]]
        while owner := next((name for name, taken in self.taken.items() if mark in taken), None):
            self.dropped["duplicates" if owner == split else "leaks"] += 1
            attempt = int(group.attempts[row]) + 1
            if attempt >= MAX_ATTEMPTS:
                raise self._exhausted(split, size)
            again = self._propose(split, size, places, indices, [group.keys[row]], attempt)
            _overwrite(group.batch, np.array([row]), again.batch)
            group.attempts[row] = again.attempts[0]
            mark = int(fingerprints(again.batch.codes_NMK)[0])
        return mark

    def _exhausted(self, split: str, size: SizeConfig) -> ValueError:
        return ValueError(
            f"splits.{split}: no further problem of n={size.n} k={size.k} m={size.num_clauses} in "
            f"{MAX_ATTEMPTS} draws (unsat_fraction {self.config.unsat_fraction}): ask for fewer "
            f"problems or a larger size"
        )


def chunk_rows(config: SatConfig, split: str) -> int:
    """Return how many problems of a split are drawn, and written as one row group, at a time."""
    sizes = config.split_configs[split].sizes or config.sizes
    largest = max(size.num_clauses * size.k for size in sizes)
    return min(CHUNK_ROWS, max(1, CHUNK_LITERALS // largest))


def _choose_sizes(sizes: Sequence[SizeConfig], keys: Sequence[bytes]) -> NDArray[np.int64]:
    """The number of each item's size, by weight."""
    if len(sizes) == 1:
        return np.zeros(len(keys), np.int64)
    weights = np.cumsum([size.weight for size in sizes])
    chosen = np.searchsorted(weights, key_fraction(keys, _SIZE) * weights[-1], side="right")
    return np.minimum(chosen, len(sizes) - 1)


def _solved(batch: SatBatch) -> SatBatch:
    """Let the solver decide each problem of a batch."""
    solutions = np.zeros_like(batch.solutions_NV)
    satisfiable = np.zeros_like(batch.satisfiable_N)
    for row in range(len(batch)):
        values = solve(batch.size.n, batch.clauses(row))
        if values is not None:
            solutions[row], satisfiable[row] = values, True
    return replace(batch, solutions_NV=solutions, satisfiable_N=satisfiable)


def _overwrite(batch: SatBatch, rows: NDArray[np.int64], other: SatBatch) -> None:
    """Put another batch's problems in place of these rows."""
    batch.codes_NMK[rows] = other.codes_NMK
    batch.solutions_NV[rows] = other.solutions_NV
    batch.satisfiable_N[rows] = other.satisfiable_N
