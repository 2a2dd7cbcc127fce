"""What a maker hands back: problems drawn whatever others have taken, with all that claims need."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.config import AbdConfig, SatConfig
from datagen.draw import claim_order
from datagen.source import Baselines

Chances = dict[str, float]
"""The success of each baseline on one problem."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Some items of a split in order of their indices, each with a problem."""

    indices: NDArray[np.int64]
    attempts: NDArray[np.int64]
    marks: NDArray[np.uint64]
    """64 bits of each problem, equal for equal problems."""
    rows: pa.Table
    """The rows of each item, side by side."""
    labels: Counter[str]
    """Items by difficulty label, which is the item's whatever its problem."""
    chances: dict[int, Chances]
    """By index, of those items that the split's baselines are measured on."""
    dropped: Counter[str]
    """Draws that were not used, by reason."""


@dataclass(frozen=True)
class Maker(ABC):
    """Draws the problems of one task of a dataset, any items in any order."""

    config: SatConfig | AbdConfig
    seed: int
    """The config's own is applied already."""
    task: ClassVar[str]

    @property
    def splits(self) -> list[str]:
        """Splits in which the task has a share, in the order in which they claim problems."""
        return claim_order(self.config)

    def num_problems(self, split: str) -> int:
        """Return the number of items of a split."""
        count = self.config.split_configs[split].num_problems
        assert isinstance(count, int)
        return count

    def rows_each(self, split: str) -> int:
        """Return the number of rows of each item."""
        demonstrations = self.config.split_configs[split].demonstrations
        return demonstrations.per_problem if demonstrations else 1

    @abstractmethod
    def chunk_problems(self, split: str) -> int:
        """Items that are drawn at a time, and make a row group where the task stands alone."""

    @abstractmethod
    def block_problems(self, split: str) -> int:
        """Items of a block, seconds of work."""

    @abstractmethod
    def needs_claims(self, split: str) -> bool:
        """Whether rows depend on what the splits before this one have taken."""

    @abstractmethod
    def draw(
        self,
        split: str,
        indices: NDArray[np.int64],
        attempts: NDArray[np.int64] | None = None,
        earlier: Mapping[str, Container[int]] | None = None,
    ) -> Drawing:
        """Draw the first problem of each item that fits, from its attempt on (0).

        `earlier` are the marks that the splits before have taken, where `needs_claims`.
        Raises ValueError for an item that has none.
        """

    @abstractmethod
    def exhausted(self, split: str, index: int) -> ValueError:
        """Return the error for an item that has no draws left."""

    @abstractmethod
    def baselines(self, chances: list[Chances]) -> Baselines:
        """Return the baselines of a split by those of its first problems."""
