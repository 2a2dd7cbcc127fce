"""What a maker hands back: problems drawn whatever others have taken, with all that claims need."""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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


class Maker(Protocol):
    """Draws the problems of one task of a dataset, any items in any order."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def splits(self) -> list[str]:
        """Splits in which the task has a share, in the order in which they claim problems."""

    def num_problems(self, split: str) -> int:
        """Number of items of a split."""

    def rows_each(self, split: str) -> int:
        """Rows of each item."""

    def chunk_problems(self, split: str) -> int:
        """Items that are drawn at a time, and make a row group where the task stands alone."""

    def block_problems(self, split: str) -> int:
        """Items of a block, seconds of work."""

    def needs_claims(self, split: str) -> bool:
        """Whether rows depend on what the splits before this one have taken."""

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

    def exhausted(self, split: str, index: int) -> ValueError:
        """Return the error for an item that has no draws left."""

    def baselines(self, chances: list[Chances]) -> Baselines:
        """Return the baselines of a split by those of its first problems."""
