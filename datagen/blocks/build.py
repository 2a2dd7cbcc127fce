"""Makes a whole dataset in blocks: draw, settle what is taken, write shards, and last the manifest.

The work folder `.NAME.work-…` lies beside the dataset's folder. Its files are whole or not there,
so that the same call, after any end of the one before, goes on and ends in the same bytes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datagen.blocks.parts import Outcome, found_part, read_shard_info
from datagen.blocks.plan import BlockPlan, Part, Shard
from datagen.blocks.settling import Settled, settle_split
from datagen.blocks.shard_rows import cut_shards, write_order
from datagen.blocks.steps import Run, Steps, no_steps
from datagen.blocks.work_folder import own_work, remove_work
from datagen.config import AbdConfig, MixConfig, SatConfig
from datagen.dataset import find_dataset, identify, open_source, write_manifest
from datagen.manifest import Manifest, ShardInfo, SplitInfo
from datagen.mix_source import MixRates
from datagen.shards import sync
from datagen.source import SplitParts, Written

MIN_DRAWS = 1000
"""Draws of a task before the share of those that were not used is judged."""


def build_in_blocks(
    config: SatConfig | AbdConfig | MixConfig,
    folder: Path,
    seed: int,
    run: Run,
    *,
    steps: Steps = no_steps,
    max_dropped: float = 1.0,
    block_problems: Mapping[str, int] | None = None,
) -> Manifest:
    """Make the dataset of a config in `folder` with the bytes of `build_dataset`, or find it there.

    `run` makes the parts, wherever that is. Raises ValueError if more than the share `max_dropped`
    of a task's draws make no problem, and as `build_dataset` does.
    """
    source = open_source(config, seed)
    identity = identify(source)
    found = find_dataset(folder, identity.config_hash)
    if found is not None:
        return found
    plan = plan_blocks(config, folder, seed, block_problems)
    with own_work(plan.work, folder):
        if (found := find_dataset(folder, identity.config_hash)) is None:
            written = _Build(plan, run, steps, max_dropped).written()
            found = write_manifest(plan.dataset, folder.name, source, identity, written)
            sync(plan.dataset)
            plan.dataset.rename(folder)
            sync(folder.parent)
    remove_work(folder)
    return found


def plan_blocks(
    config: SatConfig | AbdConfig | MixConfig,
    folder: Path,
    seed: int,
    block_problems: Mapping[str, int] | None = None,
) -> BlockPlan:
    """Return how a config's dataset would be cut into blocks."""
    own = seed if config.seed is None else config.seed
    sizes = dict(block_problems or {})
    config_hash = identify(open_source(config, seed)).config_hash
    place = folder.resolve()
    identity = BlockPlan(config, own, place, sizes).identity(config_hash)
    return BlockPlan(config, own, place.parent / f".{place.name}.work-{identity}", sizes)


@dataclass
class _Build:
    """One session of a build."""

    plan: BlockPlan
    run: Run
    steps: Steps
    max_dropped: float
    draws: dict[str, Counter[str]] = field(default_factory=dict)
    """By task: problems, and draws that were not used by reason."""

    def written(self) -> Written:
        """Make all parts that are not there, and return what they came to."""
        settled = self._settled()
        shards = self._shards()
        plan, names = self.plan, list(self.plan.config.splits)
        splits = {name: self._split(name, shards[name], settled) for name in names}
        dropped: dict[str, int] = {}
        for task, maker in plan.makers.items():
            own = sum((settled[task, split].dropped for split in maker.splits), Counter())
            own.update(duplicates=0, leaks=0)
            head = f"{task}_" if isinstance(plan.config, MixConfig) else ""
            dropped |= {head + reason: count for reason, count in own.items()}
        return Written(splits, dropped)

    def _settled(self) -> dict[tuple[str, str], Settled]:
        """Draw and settle every split of every task, in the order in which they claim."""
        places = [(task, split) for task, m in self.plan.makers.items() for split in m.splits]
        waiting = {(t, s) for t, s in places if self.plan.makers[t].needs_claims(s)}
        ready = [block for place in places if place not in waiting for block in self._blocks(place)]
        self._make("draw", ready)
        settled = {}
        for task, split in places:
            if (task, split) in waiting:
                self._make(f"draw {split} {task}", self._blocks((task, split)))
            with self._rounds(f"draw {split} {task} again") as make:
                settled[task, split] = settle_split(self.plan, task, split, make)
        return settled

    def _blocks(self, place: tuple[str, str]) -> list[Part]:
        return list(self.plan.blocks(*place))

    def _shards(self) -> dict[str, list[ShardInfo]]:
        """Write every split's shards."""
        shards: dict[str, list[Shard]] = {}
        for split in self.plan.config.splits:
            write_order(self.plan, split)
            shards[split] = cut_shards(self.plan, split)
        self._make("write", [shard for own in shards.values() for shard in own])
        return {
            split: [read_shard_info(self.plan, shard) for shard in own]
            for split, own in shards.items()
        }

    def _make(self, step: str, parts: Sequence[Part]) -> None:
        """Make those of the parts that are not there."""
        missing, num_done = self._missing(parts)
        if missing:
            total = num_done + sum(part.amount for part in missing)
            with self.steps(step, total, num_done) as update:
                self._run(missing, num_done, update)

    @contextmanager
    def _rounds(self, step: str) -> Iterator[Callable[[Sequence[Part]], None]]:
        """Yield what makes parts round by round: one step, however many rounds it takes."""
        num_done, update = 0, None
        with ExitStack() as stack:

            def make(parts: Sequence[Part]) -> None:
                nonlocal num_done, update
                missing, found = self._missing(parts)
                num_done += found
                if missing:
                    update = update or stack.enter_context(self.steps(step, None, num_done))
                    num_done = self._run(missing, num_done, update)

            yield make

    def _missing(self, parts: Sequence[Part]) -> tuple[list[Part], int]:
        """The parts that are not there, and how much the others are."""
        missing, num_done = [], 0
        for part in parts:
            outcome = found_part(self.plan, part)
            if outcome is None:
                missing.append(part)
            else:
                num_done += outcome.amount
                self._count(part, outcome)
        return missing, num_done

    def _run(self, parts: Sequence[Part], num_done: int, update: Callable[[int], None]) -> int:
        """Make parts; return how much is done with them."""

        def done(part: Part, outcome: Outcome) -> None:
            nonlocal num_done
            num_done += outcome.amount
            update(num_done)
            self._count(part, outcome)

        self.run(self.plan, parts, done)
        return num_done

    def _count(self, part: Part, outcome: Outcome) -> None:
        """Add up a task's draws; ValueError if too many of them were not used."""
        if isinstance(part, Shard):
            return
        draws = self.draws.setdefault(part.task, Counter())
        draws["used"] += outcome.amount
        draws.update(outcome.dropped)
        total = draws.total()
        dropped = total - draws["used"]
        if total >= MIN_DRAWS and dropped > self.max_dropped * total:
            reasons = ", ".join(
                f"{n:,} {name}" for name, n in draws.most_common() if name != "used"
            )
            raise ValueError(
                f"max_dropped is {self.max_dropped:g}, but {dropped / total:.2f} of {total:,} "
                f"draws of {part.task} made no problem ({reasons}): change what its problems are "
                f"told, or raise max_dropped"
            )

    def _split(
        self, split: str, shards: Sequence[ShardInfo], settled: dict[tuple[str, str], Settled]
    ) -> SplitParts:
        """What the manifest says of a split."""
        plan = self.plan
        tasks = plan.tasks_of(split)
        chance = {t: plan.makers[t].baselines(settled[t, split].chances) for t in tasks}
        info = SplitInfo(
            num_rows=sum(shard.num_rows for shard in shards),
            num_problems=sum(plan.makers[task].num_problems(split) for task in tasks),
            shards=tuple(shards),
        )
        labels: Counter[str] = sum((settled[t, split].labels for t in tasks), Counter())
        mixed = isinstance(plan.config, MixConfig)
        return SplitParts(info, labels, MixRates(chance) if mixed else chance[tasks[0]])
