"""Makes datasets of ABD problems with generated programs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.abd import NUM_SCREENED, TASK
from datagen.abd_chance import MAX_PROBLEMS, AbdChance
from datagen.abd_config import AbdConfig, LevelConfig, ProceduralPrograms
from datagen.abd_draw import AbdDraw, Item
from datagen.abd_rows import drawn_table
from datagen.draw import claim_order
from datagen.manifest import SplitInfo
from datagen.shards import ShardWriter
from datagen.source import Progress, SplitParts, Written


@dataclass(frozen=True)
class AbdSource:
    """The problems of an `AbdConfig`, drawn with `seed` (the config's own is applied before)."""

    config: AbdConfig
    seed: int
    generator = "datagen.abd"
    tasks = (TASK,)

    def resolved(self) -> dict[str, Any]:
        """The config with its seed, and each split's levels with all of their knobs."""
        programs = self.config.programs
        assert isinstance(programs, ProceduralPrograms)
        splits = {
            name: {
                "num_problems": split.num_problems,
                "levels": [resolved_level(level) for level in split.levels or programs.levels],
                "demonstrations": split.demonstrations and split.demonstrations.model_dump(),
            }
            for name, split in self.config.split_configs.items()
        }
        kept = self.config.model_dump(exclude={"splits", "seed", "programs"})
        return {**kept, "seed": self.seed, "programs": {"type": programs.type}, "splits": splits}

    def write(self, folder: Path, progress: Progress) -> Written:
        """Draw and write every split, in the order in which they claim problems."""
        draw = AbdDraw(self.config, self.config.split_configs, self.seed)
        parts = {
            split: self._write_split(draw, split, folder, progress)
            for split in claim_order(self.config)
        }
        return Written({name: parts[name] for name in self.config.splits}, dict(draw.dropped))

    def _write_split(
        self, draw: AbdDraw, split: str, folder: Path, progress: Progress
    ) -> SplitParts:
        count = self.config.split_configs[split].num_problems
        assert isinstance(count, int)
        writer = ShardWriter(folder, split, self.config.shard_rows)
        labels: Counter[str] = Counter()
        chance = AbdChance()
        for table in split_tables(draw, split, labels, chance):
            writer.write(table)
            progress(split, labels.total(), count)
        shards = writer.close()
        num_rows = sum(shard.num_rows for shard in shards)
        info = SplitInfo(num_rows=num_rows, num_problems=count, shards=shards)
        return SplitParts(info, labels, chance)


def split_tables(
    draw: AbdDraw, split: str, labels: Counter[str], chance: AbdChance
) -> Iterator[pa.Table]:
    """Yield a split's rows chunk by chunk; count its problems by label, and its baselines."""
    for items in draw.chunks(split):
        for item in items:
            labels[item.level.label] += 1
            measure(chance, item, draw.problems.style == "affine")
        yield drawn_table(draw, split, items)


def resolved_level(level: LevelConfig) -> dict[str, Any]:
    """A level with all of its knobs."""
    return {"level": level.level, "weight": level.weight, **asdict(level.knobs)}


def measure(chance: AbdChance, item: Item, shows_example: bool) -> None:
    """Add an item's problem to the baselines, unless enough are measured."""
    problem = item.problem
    assert problem is not None
    if chance.num_problems >= MAX_PROBLEMS:
        return
    _, empty, *others, again = problem.outputs
    screened, others = others[:NUM_SCREENED], others[NUM_SCREENED:]
    example = screened[problem.example_place]
    chance.add(problem.output, empty, again, others, example, has_example=shows_example)
