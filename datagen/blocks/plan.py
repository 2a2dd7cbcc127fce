"""What a dataset in blocks is made of: which config, where its work lies, and the parts of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from datagen.abd_config import AbdConfig, ProceduralPrograms
from datagen.blocks.abd_maker import AbdMaker
from datagen.blocks.drawing import Maker
from datagen.blocks.sat_maker import SatMaker
from datagen.config import DatasetConfig, MixConfig, SatConfig
from datagen.interleave import CHUNK_PROBLEMS
from datagen.manifest import canonical_hash

LAYOUT = "1"
"""Raised whenever the files of a work folder would mean something else."""


@dataclass(frozen=True, slots=True)
class DrawBlock:
    """Draw the first problems of the items `start` to `stop` of a split."""

    task: str
    split: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.task}.{self.split}.{self.start:012d}"

    @property
    def amount(self) -> int:
        """Number of problems."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class RedrawBlock:
    """Draw the next problems of items of a split that have lost theirs: some lines of a round."""

    task: str
    split: str
    round: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.task}.{self.split}.again-{self.round:03d}-{self.start:012d}"

    @property
    def amount(self) -> int:
        """Number of problems."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Shard:
    """Write one Parquet file: `num_rows` rows from problem `problem` on, less the first `skip`."""

    split: str
    number: int
    problem: int
    """The first problem of the chunk in which the shard begins."""
    skip: int
    """Rows of that chunk that the shards before it hold."""
    num_rows: int
    before: tuple[int, ...]
    """Problems of each task before that chunk."""

    @property
    def name(self) -> str:
        """Name of its file, without the suffix."""
        return f"{self.split}-{self.number:05d}"

    @property
    def amount(self) -> int:
        """Number of rows."""
        return self.num_rows


Part = DrawBlock | RedrawBlock | Shard


@dataclass(frozen=True)
class BlockPlan:
    """How a config's dataset is cut into parts; everything is a function of these fields."""

    config: SatConfig | AbdConfig | MixConfig
    seed: int
    """The config's own seed is applied already."""
    work: Path
    """Folder of the parts, which all workers see."""
    block_problems: Mapping[str, int] = field(default_factory=dict)
    """By task, in place of its own."""

    @cached_property
    def makers(self) -> dict[str, Maker]:
        """What draws the problems of each task."""
        config = self.config
        if isinstance(config, MixConfig):
            sat, abd = config.sat_config(), config.abd_config()
        else:
            sat = config if isinstance(config, SatConfig) else None
            abd = config if isinstance(config, AbdConfig) else None
        makers: list[Maker] = []
        makers += [SatMaker(sat, self.seed)] if sat else []
        makers += [AbdMaker(abd, self.seed)] if abd else []
        return {maker.task: maker for maker in makers}

    def identity(self, config_hash: str) -> str:
        """Return what tells this plan's work from that of others."""
        sizes = {
            f"{task}.{split}": self.block_size(task, split)
            for task, maker in self.makers.items()
            for split in maker.splits
        }
        return canonical_hash({"layout": LAYOUT, "config": config_hash, "blocks": sizes})[:16]

    def block_size(self, task: str, split: str) -> int:
        """Return the number of problems of a block."""
        return self.block_problems.get(task) or self.makers[task].block_problems(split)

    def block(self, task: str, split: str, number: int) -> DrawBlock:
        """Return a block of a task's split."""
        count, size = self.makers[task].num_problems(split), self.block_size(task, split)
        return DrawBlock(task, split, number * size, min((number + 1) * size, count))

    def blocks(self, task: str, split: str, first: int = 0) -> Iterator[DrawBlock]:
        """Yield the blocks of a task's split, from that of problem `first` on."""
        count, size = self.makers[task].num_problems(split), self.block_size(task, split)
        for number in range(first // size, -(-count // size)):
            yield self.block(task, split, number)

    def tasks_of(self, split: str) -> list[str]:
        """Return the tasks that have a share in a split."""
        return [task for task, maker in self.makers.items() if split in maker.splits]

    def chunk_problems(self, split: str) -> int:
        """Return how many problems of a split make a row group."""
        if isinstance(self.config, MixConfig):
            return CHUNK_PROBLEMS
        (maker,) = self.makers.values()
        return maker.chunk_problems(split)

    def stem(self, part: Part) -> Path:
        """Return where the files of a part lie, without their suffix."""
        return self.work / "parts" / part.name

    def losers_path(self, task: str, split: str, round: int) -> Path:
        """Where a round's losers lie, and the attempts that they go on with."""
        return self.work / "parts" / f"{task}.{split}.losers-{round:03d}.npy"

    def marks_path(self, task: str, split: str) -> Path:
        """Where the marks of a split lie once all its problems are settled."""
        return self.work / "parts" / f"{task}.{split}.marks.npy"

    def order_path(self, split: str) -> Path:
        """Where the order of a split's tasks lies, one byte for each problem."""
        return self.work / "parts" / f"{split}.order.npy"

    @property
    def dataset(self) -> Path:
        """The folder that becomes the dataset."""
        return self.work / "dataset"


def can_be_cut(config: DatasetConfig) -> bool:
    """Whether a config's dataset can be made in blocks: all problems are generated ones."""
    if isinstance(config, MixConfig):
        abd = config.abd_config()
        return abd is None or isinstance(abd.programs, ProceduralPrograms)
    if isinstance(config, AbdConfig):
        return isinstance(config.programs, ProceduralPrograms)
    return isinstance(config, SatConfig)
