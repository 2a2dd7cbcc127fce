"""What a dataset can be made from: each kind of config has one source, which writes the splits."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from datagen.manifest import Rates, RepliesInfo, SplitInfo

Progress = Callable[[str, int, int], None]
"""Called with a split, its problems done so far, and all of its problems."""


class Baselines(Protocol):
    """What a split's problems are worth without solving them."""

    @property
    def method(self) -> str:
        """Whether the rates of random answers are exact or sampled."""

    def rates(self) -> Rates:
        """Return the success rate of each baseline; by task, where there are several."""


@dataclass(frozen=True, slots=True)
class SplitParts:
    """What the manifest says of one split."""

    info: SplitInfo
    difficulty: Counter[str]
    chance: Baselines


@dataclass(frozen=True, slots=True)
class Written:
    """What a source wrote: its splits in the order of the manifest, and what it did not use."""

    splits: dict[str, SplitParts]
    dropped: dict[str, int] = field(default_factory=dict)
    replies: RepliesInfo | None = None


class Source(Protocol):
    """Makes the splits of one dataset."""

    @property
    def generator(self) -> str:
        """Name of the module that makes the problems."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the problems."""

    @property
    def seed(self) -> int:
        """Seed of the problems."""

    def resolved(self) -> dict[str, Any]:
        """Everything that the bytes of the dataset depend on, as JSON."""

    def write(self, folder: Path, progress: Progress) -> Written:
        """Write all shards into `folder`, synced."""
