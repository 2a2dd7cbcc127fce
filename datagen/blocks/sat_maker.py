"""Draws SAT problems for datasets that are made in blocks."""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.blocks.drawing import Chances, Drawing, Maker
from datagen.chance import MAX_COUNTED, MAX_PROBLEMS, Chance, measures
from datagen.config import SatConfig
from datagen.draw import Draw, Drawn, chunk_rows
from datagen.fingerprints import fingerprints
from datagen.sat import TASK
from datagen.sat_source import size_label
from datagen.source import Baselines
from datagen.tables import split_table

CHUNKS = 16
"""Chunks of a block."""


@dataclass(frozen=True)
class SatMaker(Maker):
    """The problems of a `SatConfig`, drawn with `seed`."""

    config: SatConfig
    task = TASK

    def chunk_problems(self, split: str) -> int:
        """Problems that are drawn at a time."""
        return chunk_rows(self.config, split)

    def block_problems(self, split: str) -> int:
        """Problems of a block: fewer, where they are large."""
        return CHUNKS * self.chunk_problems(split)

    def needs_claims(self, split: str) -> bool:
        """Rows show their own problem only."""
        return False

    def draw(
        self,
        split: str,
        indices: NDArray[np.int64],
        attempts: NDArray[np.int64] | None = None,
        earlier: Mapping[str, Container[int]] | None = None,
    ) -> Drawing:
        """Draw each item's first problem that fits, from its attempt on."""
        draw = Draw(self.config, self.seed)
        drawn = draw.propose(split, indices, attempts)
        taken, marks = np.empty(len(indices), np.int64), np.empty(len(indices), np.uint64)
        labels: Counter[str] = Counter()
        chances: dict[int, Chances] = {}
        for group in drawn:
            taken[group.places] = group.attempts
            marks[group.places] = fingerprints(group.batch.codes_NMK)
            labels[size_label(group.batch.size)] += len(group.batch)
            chances |= _chances(group)
        rows = split_table(self.config, split, self.seed, drawn)
        return Drawing(indices, taken, marks, rows, labels, chances, draw.dropped)

    def exhausted(self, split: str, index: int) -> ValueError:
        """Return the error for an item that has no draws left."""
        return Draw(self.config, self.seed).exhausted(split, index)

    def baselines(self, chances: list[Chances]) -> Baselines:
        """Add up the baselines of each problem."""
        sums = {name: sum(one[name] for one in chances) for name in chances[0]}
        method = "sampled" if sums.pop("sampled") else "exact"
        num_unsat = int(sums.pop("unsat"))
        return Chance(len(chances), num_unsat, method, sums)


def _chances(group: Drawn) -> dict[int, Chances]:
    """The baselines of those problems of a group that are measured."""
    count = int(np.searchsorted(group.indices, MAX_PROBLEMS))
    if not count:
        return {}
    codes, n = group.batch.codes_NMK[:count], group.batch.size.n
    columns = measures(codes, n, group.keys[:count])
    columns["unsat"] = (~group.batch.satisfiable_N[:count]).astype(np.float64)
    columns["sampled"] = np.full(count, float(n > MAX_COUNTED))
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    indices = group.indices[:count].tolist()
    return {i: dict(zip(columns, own, strict=True)) for i, own in zip(indices, values, strict=True)}
