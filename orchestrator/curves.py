"""Metrics over steps, by stage, as metrics.jsonl holds them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from orchestrator.run_files import Row

NOT_METRICS = frozenset({"stage", "step"})


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one stage: finite values at rising steps."""

    stage: str
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def start(self) -> float:
        """Mean of the first tenth of the values (at least one)."""
        return fmean(self.values[: self._share(0.1)])

    @property
    def end(self) -> float:
        """Mean of the last tenth of the values (at least one)."""
        return fmean(self.values[-self._share(0.1) :])

    @property
    def middle(self) -> float:
        """Mean of the tenth before the last fifth: where the curve came from at the end."""
        share = self._share(0.1)
        return fmean(self.values[-3 * share : -2 * share] or self.values[:1])

    @property
    def fall(self) -> float:
        """How far the last fifth of the values lies below the best fifth, in their means."""
        share = self._share(0.2)
        starts = range(len(self.values) - share + 1)
        means = [fmean(self.values[i : i + share]) for i in starts]
        return max(means) - means[-1]

    def _share(self, share: float) -> int:
        return max(1, round(len(self.values) * share))


def curves(rows: Iterable[Row]) -> list[Curve]:
    """Return every metric's curve by stage, in the order of first appearance."""
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        for metric, value in row.items():
            if metric not in NOT_METRICS and _finite(value) and _finite(row.get("step")):
                key = (str(row.get("stage")), metric)
                points.setdefault(key, []).append((int(row["step"]), float(value)))
    return [_curve(stage, metric, found) for (stage, metric), found in points.items()]


def of_stage(found: Iterable[Curve], stage: str) -> dict[str, Curve]:
    """Return one stage's curves by metric."""
    return {curve.metric: curve for curve in found if curve.stage == stage}


def thinned(curve: Curve, most: int = 240) -> Curve:
    """Return the curve with at most `most` points, each the mean of its neighbours."""
    count = len(curve.steps)
    if count <= most:
        return curve
    edges = [round(i * count / most) for i in range(most + 1)]
    parts = list(pairwise(edges))
    steps = tuple(round(fmean(curve.steps[a:b])) for a, b in parts)
    return Curve(curve.stage, curve.metric, steps, tuple(_means(curve.values, parts)))


def _means(values: Sequence[float], parts: Sequence[tuple[int, int]]) -> list[float]:
    return [fmean(values[a:b]) for a, b in parts]


def _curve(stage: str, metric: str, points: list[tuple[int, float]]) -> Curve:
    points.sort()
    return Curve(stage, metric, tuple(s for s, _ in points), tuple(v for _, v in points))


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
