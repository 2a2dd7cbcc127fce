"""Evaluations as a run keeps them: one line a problem, with a greedy and k sampled completions.

A completion is solved if it scored exactly 1. One that could not be scored (None) is left out of
every rate and counted, never taken for a wrong answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.whole_file import DamageError
from orchestrator.run_files import RunFiles, read_jsonl
from orchestrator.statistics import Estimate, mean_rate, pass_at_k
from trainers.journal import read_whole

GREEDY = "greedy"


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a model and what the checker said about it."""

    text: str
    score: float | None
    reason: str
    num_tokens: int | None

    @property
    def solved(self) -> bool | None:
        """Whether the checker gave it 1; None if it was not scored."""
        return None if self.score is None else self.score == 1


@dataclass(frozen=True, slots=True)
class Item:
    """One problem of an evaluation, with everything that a checkpoint answered to it."""

    id: str
    task: str
    split: str
    label: str
    prompt: str
    greedy: Completion | None
    samples: tuple[Completion, ...]

    @property
    def outcomes(self) -> list[bool]:
        """Whether each scored sample solved the problem."""
        return [s.solved for s in self.samples if s.solved is not None]

    def value(self, metric: str) -> float | None:
        """Return this problem's share of `metric` ("greedy" or "pass@k") in [0, 1].

        None where it cannot be told: not scored, or fewer than k scored samples.
        """
        if metric == GREEDY:
            solved = self.greedy.solved if self.greedy else None
            return None if solved is None else float(solved)
        k = int(metric.removeprefix("pass@"))
        outcomes = self.outcomes
        return pass_at_k(len(outcomes), sum(outcomes), k) if len(outcomes) >= k else None


@dataclass(frozen=True)
class Evaluation:
    """The items of one checkpoint, in the order of the splits."""

    checkpoint: str
    items: tuple[Item, ...]

    @property
    def num_samples(self) -> int:
        """Most samples of any problem: the k of pass@k."""
        return max((len(item.samples) for item in self.items), default=0)

    @property
    def metrics(self) -> list[str]:
        """Names of what was measured: greedy, pass@1 and pass@k."""
        k = self.num_samples
        return [GREEDY, *(["pass@1"] if k else []), *([f"pass@{k}"] if k > 1 else [])]

    def where(self, keep: Callable[[Item], bool]) -> "Evaluation":
        """Return the evaluation of the items for which `keep` holds."""
        return Evaluation(self.checkpoint, tuple(item for item in self.items if keep(item)))

    def measure(self, metric: str) -> Estimate | None:
        """Return the rate of `metric` with its interval; None if no problem was scored."""
        values = [v for item in self.items if (v := item.value(metric)) is not None]
        return mean_rate(values, draws=self.num_samples if metric == "pass@1" else 1)

    def num_unscored(self, metric: str) -> int:
        """Return how many problems `metric` leaves out because they could not be scored."""
        return sum(item.value(metric) is None for item in self.items)


def read_evaluation(path: Path, covered: bool) -> Evaluation:
    """Read evaluations/<checkpoint>.jsonl, whose lines are checked if they are `covered` by hashes.

    DamageError names the line that was changed, ValueError the file if a line lacks its keys.
    """
    try:
        rows = (line.row for line in read_whole(path)) if covered else read_jsonl(path)
    except DamageError as error:
        fix = "clutch run, with the run's config, evaluates again"
        raise DamageError(f"{error}; {fix}") from None
    return evaluation_of(path.stem, rows, str(path))


def evaluation_of(checkpoint: str, rows: Iterable[dict[str, Any]], source: str) -> Evaluation:
    """Return the evaluation that `rows` hold; ValueError names `source` if one lacks its keys."""
    items = []
    for number, row in enumerate(rows, start=1):
        try:
            items.append(_item(row))
        except (KeyError, TypeError, AttributeError) as error:
            message = f"{source}: row {number} is no evaluated problem ({error!r})"
            raise ValueError(message) from None
    return Evaluation(checkpoint, tuple(items))


def read_evaluations(run: RunFiles) -> dict[str, Evaluation]:
    """Return the run's evaluations by checkpoint: base first, then the stages in their order."""
    folder = run.folder / "evaluations"
    found = {path.stem: path for path in sorted(folder.glob("*.jsonl"))}
    known = ["base", *(str(stage["name"]) for stage in run.stages)]
    ordered = [name for name in known if name in found]
    ordered += [name for name in found if name not in ordered]
    return {name: read_evaluation(found[name], run.covered) for name in ordered}


def splits_of(evaluations: Iterable[Evaluation]) -> list[str]:
    """Return the names of the evaluated splits in the order of their first problem."""
    return list(dict.fromkeys(item.split for e in evaluations for item in e.items))


def _item(row: dict[str, Any]) -> Item:
    greedy = row.get("greedy")
    return Item(
        id=str(row["id"]),
        task=str(row["task"]),
        split=str(row["split"]),
        label=str(row.get("label") or ""),
        prompt=str(row["prompt"]),
        greedy=_completion(greedy) if greedy else None,
        samples=tuple(_completion(sample) for sample in row.get("samples") or ()),
    )


def _completion(row: dict[str, Any]) -> Completion:
    return Completion(
        row["text"], row["score"], str(row.get("reason") or ""), row.get("num_tokens")
    )
