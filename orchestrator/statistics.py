"""Rates with intervals, and paired differences: the arithmetic behind every figure of a report.

The unit of evidence is the problem, never the completion: eight samples of one problem are not
eight independent trials, so each interval here takes one value a problem.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, t

CONFIDENCE = 0.95
"""Coverage of every interval in a report."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n problems (or paired problems) with its confidence interval."""

    rate: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int]:
        """Return the four numbers under the names that result.json uses."""
        return {"rate": self.rate, "low": self.low, "high": self.high, "n": self.n}


def wilson_interval(rate: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's score interval for a rate seen over n trials (n may be an effective number).

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, eq. 4. Raises ValueError for n <= 0.
    """
    if n <= 0 or not 0 <= rate <= 1:
        raise ValueError(f"rate {rate} over {n} trials: needs 0 <= rate <= 1 and n > 0")
    z = float(norm.ppf((1 + confidence) / 2))
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if rate == 0 else max(0.0, centre - half)
    high = 1.0 if rate == 1 else min(1.0, centre + half)
    return low, high


def mean_rate(
    values: Sequence[float], draws: int = 1, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the mean of one value in [0, 1] a problem, with an interval clustered by problem.

    The interval is Wilson's with the effective number of trials p(1-p)/se^2, where se comes from
    the spread between problems (Korn and Graubard 1998): it respects clustering and never leaves
    [0, 1]. `draws` is how many completions stand behind each value; the effective number is at
    most n * draws. With draws = 1 and 0/1 values it is Wilson's interval itself. None without
    values.
    """
    n = len(values)
    if n == 0:
        return None
    array = np.asarray(values, dtype=np.float64)
    rate = min(1.0, max(0.0, float(array.mean())))
    # The divisor n (not n - 1) makes 0/1 values give exactly n trials.
    variance = float(array.var()) / n
    effective = float(n)
    if 0 < rate < 1 and draws > 1:
        bound = rate * (1 - rate)
        effective = n * draws if variance * n * draws <= bound else bound / variance
    low, high = wilson_interval(rate, effective, confidence)
    return Estimate(rate, low, high, n)


def pass_at_k(num_samples: int, num_solved: int, k: int) -> float:
    """Return the unbiased estimate that at least one of k samples solves the problem.

    1 - C(n-c, k) / C(n, k); source: Chen et al. 2021 (arXiv 2107.03374), eq. 1.
    """
    if not 0 <= num_solved <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(
            f"pass@{k} with {num_solved} solved of {num_samples} samples: "
            "needs 0 <= solved <= samples and 1 <= k <= samples"
        )
    return 1.0 - math.comb(num_samples - num_solved, k) / math.comb(num_samples, k)


def paired_difference(
    before: Sequence[float], after: Sequence[float], confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the mean of after - before over problems in the same order, with its interval.

    Two pseudo-problems, one gained and one lost, are added before Student's interval is taken; for
    0/1 values this is the adjusted Wald interval of Bonett and Price (2012), which covers well for
    few problems and is never of zero width. `rate` is the plain difference, without them.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} values before and {len(after)} after: pair them by id")
    n = len(before)
    if n == 0:
        return None
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    adjusted = np.concatenate([differences, [1.0, -1.0]])
    quantile = float(t.ppf((1 + confidence) / 2, df=n + 1))
    half = quantile * math.sqrt(float(adjusted.var()) / (n + 2))
    centre = float(adjusted.mean())
    return Estimate(float(differences.mean()), max(-1.0, centre - half), min(1.0, centre + half), n)


def mcnemar_p(num_gained: int, num_lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test on the problems that changed.

    Under "no change" a changed problem is as likely gained as lost; 1.0 where none changed.
    """
    changed = num_gained + num_lost
    if changed == 0:
        return 1.0
    return float(binomtest(min(num_gained, num_lost), changed, 0.5).pvalue)


def verdict(difference: Estimate) -> str:
    """Return "improved", "worse" or "tied": on which side of zero the whole interval lies."""
    if difference.low > 0:
        return "improved"
    return "worse" if difference.high < 0 else "tied"


def together(verdicts: Iterable[str]) -> str:
    """Return one verdict for several measures: worse if any is, mixed if another improved."""
    found = set(verdicts)
    if "mixed" in found or {"improved", "worse"} <= found:
        return "mixed"
    return next((word for word in ("worse", "improved") if word in found), "tied")
