"""Makes the parts of a dataset with Ray Data, and names the item that no worker survives."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from datagen.blocks.parts import part_file
from datagen.blocks.plan import BlockPlan, DrawBlock, Part, Shard
from datagen.blocks.steps import Done
from orchestrator.failures import GenerationFailed
from orchestrator.generation.crashes import find_deadly, kills_worker
from orchestrator.generation.ray_data import map_numbers
from orchestrator.generation.worker import TRIES, Told, probe, starts_path, work


@dataclass(frozen=True)
class RayRun:
    """Makes parts on the Ray that is there, so many at a time."""

    workers: int

    def __call__(self, plan: BlockPlan, parts: Sequence[Part], done: Done) -> None:
        """Make all parts. Raises GenerationFailed for one that cannot be made."""
        for part in parts:
            starts_path(plan, part).unlink(missing_ok=True)

        def make(number: int) -> dict[str, Any]:
            return asdict(work(plan, parts[number]))

        deadly = []
        for number, row in map_numbers(make, len(parts), workers=self.workers):
            told, part = Told(**row), parts[number]
            if told.kind == "deadly":
                deadly.append(part)
                continue
            outcome = told.outcome(part)
            _refuse_unseen(plan, part)
            done(part, outcome)
        if deadly:
            raise GenerationFailed(_named(plan, deadly[0]))


def _refuse_unseen(plan: BlockPlan, part: Part) -> None:
    """Refuse to go on where workers write to a disk that is not this process's."""
    if not part_file(plan, part).is_file():
        raise ValueError(
            f"a worker wrote {part_file(plan, part)}, which is not there on this node: write to a "
            f"disk that all nodes share"
        )


def _named(plan: BlockPlan, part: Part) -> str:
    """Say which item of a part kills its worker."""
    died = f"{part.name}: its worker died {TRIES} times"
    if isinstance(part, Shard):
        return f"{died} while the shard was written: memory or disk may be short"
    block = part

    def drawn(start: int, stop: int) -> None:
        probe(plan, replace(block, start=start, stop=stop))

    index = find_deadly(
        lambda start, stop: kills_worker(drawn, start, stop, TRIES), part.start, part.stop
    )
    if index is None:
        return f"{died}, but no item does it alone: memory may be short"
    if not isinstance(part, DrawBlock):
        index = int(np.load(plan.losers_path(part.task, part.split, part.round))[index, 0])
    return (
        f"{died}, and so does item {index} of split {part.split} ({part.task}, seed {plan.seed}) "
        f"alone: nothing was put in its place"
    )
