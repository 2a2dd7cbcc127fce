"""Draws generated ABD problems: each from its own key, none twice in the whole dataset.

As in `draw.py`, an item's draws are a fixed sequence of its own; it takes the first that makes a
problem and that no item before it has taken, so that batches change nothing.
"""

from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from datagen.abd import NUM_SCREENED, TASK, fingerprint, solves, unfit
from datagen.abd_chance import MAX_PROBLEMS, NUM_RANDOM
from datagen.abd_config import AbdProblems, AbdSplitConfig, LevelConfig, ProceduralPrograms
from datagen.abd_runs import Job, Outputs, run_jobs
from datagen.abd_styles import answer_text, compact_output, compact_words
from datagen.keys import item_key
from datagen.programs.inputs import draw_input
from datagen.programs.make import make_program
from datagen.programs.scope import Draft
from datagen.stream import Stream
from reward_fns.abductions import extract_input

MAX_ATTEMPTS = 1000
"""Draws of one item after which its level is held to have no such problem left."""
CHUNK_ROWS = 2048


@dataclass(frozen=True, slots=True)
class Problem:
    """A draw that makes a problem, and what its program printed on the inputs that measure it."""

    attempt: int
    draft: Draft
    stdin: str
    output: str
    example: str
    """An input that gives another output."""
    example_place: int
    """Which of the others it is."""
    mark: int
    outputs: Outputs
    """On the gold input, the empty one, `NUM_SCREENED` others, those of chance, its own output."""
    missed: tuple[str, ...]
    """Why the item's draws since the last problem were left out."""


@dataclass(slots=True)
class Item:
    """A place in a split: its level, the draws made so far, and the problems among them."""

    index: int
    level: LevelConfig
    attempt: int = 0
    waiting: deque[Problem] = field(default_factory=deque)
    missed: list[str] = field(default_factory=list)
    problem: Problem | None = None


class AbdDraw:
    """Draws the splits of one dataset; holds the fingerprints taken so far and the drop counts."""

    def __init__(
        self,
        problems: AbdProblems,
        splits: Mapping[str, AbdSplitConfig],
        seed: int,
        earlier: Mapping[str, Container[int]] | None = None,
    ) -> None:
        """Draw with `seed`; `earlier` are splits whose problems another draw has claimed."""
        self.problems = problems
        self.earlier = earlier or {}
        self.splits = splits
        self.seed = seed
        self.taken: dict[str, set[int]] = {}
        self.dropped: Counter[str] = Counter(duplicates=0, leaks=0)

    def chunks(self, split: str) -> Iterator[list[Item]]:
        """Yield the items of a split chunk by chunk, each with its problem."""
        count = self.splits[split].num_problems
        assert isinstance(count, int)
        for start in range(0, count, CHUNK_ROWS):
            items = self.items(split, range(start, min(start + CHUNK_ROWS, count)))
            self._propose(split, items)
            self._claim(split, items)
            yield items

    def items(self, split: str, indices: Iterable[int]) -> list[Item]:
        """Return some items of a split, without any draws."""
        levels = self._levels(split)
        return [Item(index, self._level(split, levels, index)) for index in indices]

    def propose(self, split: str, items: Sequence[Item]) -> None:
        """Give each item its first problem from its attempt on, whatever others have taken."""
        self._propose(split, items)
        for item in items:
            if not item.waiting:
                raise self.exhausted(split, item)
            item.problem = item.waiting.popleft()
            self.dropped.update(item.problem.missed)

    def _levels(self, split: str) -> Sequence[LevelConfig]:
        programs = self.problems.programs
        assert isinstance(programs, ProceduralPrograms)
        return self.splits[split].levels or programs.levels

    def _level(self, split: str, levels: Sequence[LevelConfig], index: int) -> LevelConfig:
        if len(levels) == 1:
            return levels[0]
        stream = Stream(item_key(TASK, split, self.seed, index, "level"))
        return levels[stream.weighted([level.weight for level in levels])]

    def _propose(self, split: str, items: Sequence[Item]) -> None:
        """Find each item's next problem, if it has draws left, whatever others have taken."""
        pending = list(items)
        while pending := [item for item in pending if item.attempt < MAX_ATTEMPTS]:
            drawn = [self._drawn(split, item) for item in pending]
            outputs = self._run([(draft, inputs) for draft, inputs in drawn])
            certified = self._certified(drawn, outputs)
            for item, (draft, inputs), own, sure in zip(
                pending, drawn, outputs, certified, strict=True
            ):
                self._judge(item, draft, inputs, own, sure)
            pending = [item for item in pending if item.missed]

    def _drawn(self, split: str, item: Item) -> tuple[Draft, tuple[str, ...]]:
        """The item's next draw: a program, and its inputs in the order of `Problem.outputs`."""
        key = item_key(TASK, split, self.seed, item.index, item.attempt)
        level = item.level
        draft = make_program(level.level, level.knobs, key)
        stream = Stream(key + b"inputs")
        count = 1 + NUM_SCREENED + (NUM_RANDOM if item.index < MAX_PROBLEMS else 0)
        gold, *others = [draw_input(draft.shape, stream) for _ in range(count)]
        return draft, (gold, "", *others)

    def _run(self, drawn: Sequence[tuple[Draft, tuple[str, ...]]]) -> list[Outputs]:
        jobs = [Job(draft.text, inputs) for draft, inputs in drawn]
        most = self.problems.max_io_chars + 1
        return run_jobs(jobs, self.problems.limits.sandbox, most)

    def _certified(
        self, drawn: Sequence[tuple[Draft, tuple[str, ...]]], outputs: Sequence[Outputs]
    ) -> list[bool]:
        """Whether each program prints the same again, run in another order, on the input as it is
        read back from its answer."""
        jobs = [
            Job(draft.text, (extract_input(answer_text(self.problems.style, inputs[0])) or "",))
            for draft, inputs in drawn
        ]
        most = self.problems.max_io_chars + 1
        again = run_jobs(jobs[::-1], self.problems.limits.sandbox, most)[::-1]
        return [one[0] == two[0] for one, two in zip(outputs, again, strict=True)]

    def _judge(
        self, item: Item, draft: Draft, inputs: tuple[str, ...], outputs: Outputs, sure: bool
    ) -> None:
        """Keep the draw as the item's problem, or count why not; go on to the next attempt."""
        gold, output, others = inputs[0], outputs[0], outputs[2 : 2 + NUM_SCREENED]
        attempt, item.attempt = item.attempt, item.attempt + 1
        reason = None if sure else "unstable"
        reason = reason or unfit(
            gold, output, outputs[1], outputs[-1], others, self.problems.max_chance
        )
        reason = reason or self._misfit(draft, gold, output or "")
        if reason is not None or output is None:
            item.missed.append(reason or "failed")
        else:
            place = next(i for i, other in enumerate(others) if not solves(output, other))
            item.waiting.append(
                Problem(
                    attempt=attempt,
                    draft=draft,
                    stdin=gold,
                    output=output,
                    example=inputs[2 + place],
                    example_place=place,
                    mark=fingerprint(draft.canonical(), output),
                    outputs=outputs,
                    missed=tuple(item.missed),
                )
            )
            item.missed.clear()

    def _misfit(self, draft: Draft, gold: str, output: str) -> str | None:
        """Why the config has no use for a problem, or None."""
        most = self.problems.max_io_chars
        if len(draft.text) > self.problems.max_program_chars or len(gold) > most:
            return "too_long"
        if len(output) > most:
            return "too_long"
        if self.problems.style == "compact" and (
            compact_words(draft.text) is None or compact_output(output) is None
        ):
            return "no_words"
        return None

    def _claim(self, split: str, items: Sequence[Item]) -> None:
        """Give each item, in order, its first problem that is not taken."""
        own = self.taken.setdefault(split, set())
        self._propose(split, self._lacking(items))
        for place, item in enumerate(items):
            while item.problem is None:
                if not item.waiting:
                    if item.attempt >= MAX_ATTEMPTS:
                        raise self.exhausted(split, item)
                    # The more draws one item takes, the fewer problems there may be left.
                    ahead = max(1, CHUNK_ROWS >> item.attempt // 8)
                    self._propose(split, self._lacking(items[place:])[:ahead])
                    continue
                problem = item.waiting.popleft()
                self.dropped.update(problem.missed)
                owner = self.owner(problem.mark)
                if owner is None:
                    item.problem = problem
                    own.add(problem.mark)
                else:
                    self.dropped["duplicates" if owner == split else "leaks"] += 1

    def is_free(self, split: str, draft: Draft, output: str) -> bool:
        """Tell whether no other split has the problem of this program and output."""
        return self.owner(fingerprint(draft.canonical(), output)) in (None, split)

    def owner(self, mark: int) -> str | None:
        """The split that has taken a problem, or None."""
        splits = chain(self.earlier.items(), self.taken.items())
        return next((name for name, taken in splits if mark in taken), None)

    def _lacking(self, items: Sequence[Item]) -> list[Item]:
        """The items that would find all of their problems taken, if each took its first free one.

        What they lack is then found together, for all that it is claimed one by one.
        """
        marks: set[int] = set()
        lacking = []
        for item in items:
            for problem in item.waiting:
                if problem.mark not in marks and self.owner(problem.mark) is None:
                    marks.add(problem.mark)
                    break
            else:
                lacking.append(item)
        return lacking

    def exhausted(self, split: str, item: Item) -> ValueError:
        """Return the error for an item that has no draws left."""
        missed = Counter(item.missed) + self.dropped
        reasons = ", ".join(f"{count} {reason}" for reason, count in missed.most_common(4))
        return ValueError(
            f"splits.{split}: no further problem of level {item.level.label} in {MAX_ATTEMPTS} "
            f"draws (left out so far: {reasons}): ask for fewer problems, raise max_chance, or "
            f"widen the level's range of values"
        )
