"""Two checkpoints on the same problems, paired by id: what was gained, what was lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from orchestrator.evaluations import GREEDY, Evaluation, Item
from orchestrator.run_files import RunFiles
from orchestrator.statistics import (
    Estimate,
    mcnemar_p,
    paired_difference,
    together,
    verdict,
)

Pair = tuple[Item, Item]


@dataclass(frozen=True)
class Comparison:
    """`after` minus `before`, over the problems that both evaluated."""

    before: str
    after: str
    differences: dict[str, Estimate]
    gained: tuple[Pair, ...]
    lost: tuple[Pair, ...]
    kept_solved: tuple[Pair, ...]
    kept_unsolved: tuple[Pair, ...]
    num_unpaired: int

    @property
    def p_value(self) -> float:
        """McNemar's exact p-value for the greedy answers."""
        return mcnemar_p(len(self.gained), len(self.lost))

    @property
    def verdict(self) -> str:
        """Return improved, worse or tied, or mixed, by every measure."""
        return together(map(verdict, self.differences.values()))

    def as_dict(self) -> dict[str, object]:
        """Return the comparison as result.json keeps it."""
        differences: dict[str, object] = {
            metric: {"difference": d.rate, "low": d.low, "high": d.high, "n": d.n}
            for metric, d in self.differences.items()
        }
        return {
            "before": self.before,
            "after": self.after,
            "verdict": self.verdict,
            **differences,
            "mcnemar_p": self.p_value,
            "wrong_to_right": len(self.gained),
            "right_to_wrong": len(self.lost),
            "right_both": len(self.kept_solved),
            "wrong_both": len(self.kept_unsolved),
            "unpaired": self.num_unpaired,
        }


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two evaluations, pairing their problems by split and id."""
    earlier = {(item.split, item.id): item for item in before.items}
    pairs = [
        (earlier[key], item) for item in after.items if (key := (item.split, item.id)) in earlier
    ]
    moves: dict[tuple[float, float], list[Pair]] = {}
    for pair in pairs:
        was, now = pair[0].value(GREEDY), pair[1].value(GREEDY)
        if was is not None and now is not None:
            moves.setdefault((was, now), []).append(pair)
    return Comparison(
        before=before.checkpoint,
        after=after.checkpoint,
        differences=_differences([m for m in after.metrics if m in before.metrics], pairs),
        gained=tuple(moves.get((0.0, 1.0), ())),
        lost=tuple(moves.get((1.0, 0.0), ())),
        kept_solved=tuple(moves.get((1.0, 1.0), ())),
        kept_unsolved=tuple(moves.get((0.0, 0.0), ())),
        num_unpaired=len(before.items) + len(after.items) - 2 * len(pairs),
    )


@dataclass(frozen=True)
class Measure:
    """One measured difference of a result: of which part of it, by which metric, which way."""

    part: str
    metric: str
    difference: Mapping[str, Any]
    verdict: str

    @property
    def name(self) -> str:
        """What it is called in a sentence: "pass@8", "task abd pass@8"."""
        return f"{self.part} {self.metric}".strip()


def measures(result: Mapping[str, Any], part: str = "") -> Iterator[Measure]:
    """Yield every measured difference of a result, those of its tasks and other splits, too."""
    for metric, found in (result.get("gain") or {}).items():
        if isinstance(found, Mapping):
            estimate = Estimate(found["difference"], found["low"], found["high"], int(found["n"]))
            yield Measure(part, metric, found, verdict(estimate))
    for task, block in (result.get("tasks") or {}).items():
        yield from measures(block, f"{part} task {task}".strip())
    for group in ("unseen", "other_splits"):
        for split, block in (result.get(group) or {}).items():
            yield from measures(block, f"split {split}")


def headline_pair(run: RunFiles, checkpoints: list[str]) -> tuple[str, str] | None:
    """Return (before, after) of the run's main claim; None with fewer than two checkpoints.

    After is the last checkpoint. Before is the one that the first GRPO stage started from, so that
    the gain is GRPO's own; without GRPO it is the first checkpoint.
    """
    if len(checkpoints) < 2:
        return None
    grpo = [str(stage["name"]) for stage in run.stages if stage.get("type") == "grpo"]
    first = next((name for name in grpo if name in checkpoints), None)
    start = checkpoints.index(first) - 1 if first else 0
    return checkpoints[max(0, start)], checkpoints[-1]


def drawn(pairs: tuple[Pair, ...], count: int) -> list[Pair]:
    """Return `count` of the pairs, drawn by the hash of the problem's id: not picked by hand."""
    return sorted(pairs, key=lambda pair: sha256(pair[0].id.encode()).digest())[:count]


def _differences(metrics: list[str], pairs: list[Pair]) -> dict[str, Estimate]:
    differences = {}
    for metric in metrics:
        values = [(b.value(metric), a.value(metric)) for b, a in pairs]
        scored = [(b, a) for b, a in values if b is not None and a is not None]
        estimate = paired_difference([b for b, _ in scored], [a for _, a in scored])
        if estimate:
            differences[metric] = estimate
    return differences
