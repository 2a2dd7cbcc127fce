"""Makes datasets of generated SAT problems."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.chance import Chance
from datagen.config import SatConfig, SizeConfig
from datagen.draw import Draw, claim_order
from datagen.manifest import SplitInfo
from datagen.sat import TASK
from datagen.shards import ShardWriter
from datagen.source import Progress, SplitParts, Written
from datagen.styles import difficulty_label
from datagen.tables import split_table


@dataclass(frozen=True)
class SatSource:
    """The problems of a `SatConfig`, drawn with `seed` (the config's own is applied before)."""

    config: SatConfig
    seed: int
    generator = "datagen.sat"
    tasks = (TASK,)

    def resolved(self) -> dict[str, Any]:
        """The config with its seed, each split's sizes, and clauses in place of ratios."""
        splits = {
            name: {
                "num_problems": split.num_problems,
                "sizes": [_resolved_size(size) for size in split.sizes or self.config.sizes],
                "demonstrations": split.demonstrations and split.demonstrations.model_dump(),
            }
            for name, split in self.config.split_configs.items()
        }
        kept = self.config.model_dump(exclude={"splits", "sizes", "seed"})
        return {**kept, "seed": self.seed, "splits": splits}

    def write(self, folder: Path, progress: Progress) -> Written:
        """Draw and write every split, in the order in which they claim problems."""
        draw = Draw(self.config, self.seed)
        parts = {
            split: self._write_split(draw, split, folder, progress)
            for split in claim_order(self.config)
        }
        return Written({name: parts[name] for name in self.config.splits}, dict(draw.dropped))

    def _write_split(self, draw: Draw, split: str, folder: Path, progress: Progress) -> SplitParts:
        config = self.config.split_configs[split]
        writer = ShardWriter(folder, split, self.config.shard_rows)
        labels: Counter[str] = Counter()
        chance = Chance()
        for drawn in draw.chunks(split):
            writer.write(split_table(self.config, split, self.seed, drawn))
            for group in drawn:
                batch = group.batch
                labels[size_label(batch.size)] += len(batch)
                chance.add(batch.codes_NMK, batch.size.n, batch.satisfiable_N, group.keys)
            progress(split, labels.total(), config.num_problems)
        shards = writer.close()
        num_rows = sum(shard.num_rows for shard in shards)
        info = SplitInfo(num_rows=num_rows, num_problems=config.num_problems, shards=shards)
        return SplitParts(info, labels, chance)


def size_label(size: SizeConfig) -> str:
    """Return what reports call a size."""
    return difficulty_label(size.n, size.k, size.num_clauses)


def _resolved_size(size: SizeConfig) -> dict[str, Any]:
    return {"n": size.n, "k": size.k, "m": size.num_clauses, "weight": size.weight}
