"""Draws ABD problems with generated programs for datasets that are made in blocks."""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.abd import TASK
from datagen.abd_chance import MAX_PROBLEMS, AbdChance
from datagen.abd_config import AbdConfig
from datagen.abd_draw import CHUNK_ROWS, AbdDraw, Item, Problem
from datagen.abd_rows import drawn_table
from datagen.abd_source import measure
from datagen.blocks.drawing import Chances, Drawing, Maker
from datagen.source import Baselines

BLOCK_PROBLEMS = 1024


@dataclass(frozen=True)
class AbdMaker(Maker):
    """The problems of an `AbdConfig`, drawn with `seed`."""

    config: AbdConfig
    task = TASK

    def chunk_problems(self, split: str) -> int:
        """Problems that are drawn at a time."""
        return CHUNK_ROWS

    def block_problems(self, split: str) -> int:
        """Problems of a block."""
        return BLOCK_PROBLEMS

    def needs_claims(self, split: str) -> bool:
        """Runs may not show what an abduction problem of another split asks for."""
        return self.config.split_configs[split].demonstrations is not None

    def draw(
        self,
        split: str,
        indices: NDArray[np.int64],
        attempts: NDArray[np.int64] | None = None,
        earlier: Mapping[str, Container[int]] | None = None,
    ) -> Drawing:
        """Draw each item's first problem, from its attempt on."""
        draw = AbdDraw(self.config, self.config.split_configs, self.seed, earlier)
        items = draw.items(split, indices.tolist())
        if attempts is not None:
            for item, attempt in zip(items, attempts.tolist(), strict=True):
                item.attempt = attempt
        draw.propose(split, items)
        problems = [_problem(item) for item in items]
        return Drawing(
            indices=indices,
            attempts=np.array([problem.attempt for problem in problems]),
            marks=np.array([problem.mark for problem in problems], np.uint64),
            rows=drawn_table(draw, split, items),
            labels=Counter(item.level.label for item in items),
            chances={
                item.index: self._chances(item) for item in items if item.index < MAX_PROBLEMS
            },
            dropped=draw.dropped,
        )

    def exhausted(self, split: str, index: int) -> ValueError:
        """Return the error for an item that has no draws left."""
        draw = AbdDraw(self.config, self.config.split_configs, self.seed)
        return draw.exhausted(split, draw.items(split, [index])[0])

    def baselines(self, chances: list[Chances]) -> Baselines:
        """Add up the baselines of each problem."""
        total = AbdChance(len(chances))
        for one in chances:
            for name, value in one.items():
                total.sums[name] = total.sums.get(name, 0.0) + value
        return total

    def _chances(self, item: Item) -> Chances:
        chance = AbdChance()
        measure(chance, item, self.config.style == "affine")
        return chance.sums


def _problem(item: Item) -> Problem:
    assert item.problem is not None
    return item.problem
