"""From rewards to advantages, in groups.

Shapes: B groups, G completions each. Rewards are float64; None (does not apply) is NaN.
Reference: TRL 1.16 GRPOTrainer; Shao et al. 2024 (arXiv 2402.03300), section 4.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

EPSILON = 1e-4
"""Added to the standard deviation before it divides."""


@dataclass(frozen=True)
class Advantages:
    """Advantages and what is known of their groups."""

    values_BG: np.ndarray
    rewards_BG: np.ndarray
    zero_variance_B: np.ndarray
    """Groups without signal: all their scored rewards are exactly equal, or none was scored."""


def combine_rewards(rewards_FBG: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Add up the weighted rewards of F functions, leaving out NaN; all NaN stays NaN."""
    weighted = rewards_FBG * np.asarray(weights)[:, None, None]
    total: np.ndarray = np.nansum(weighted, axis=0)
    total[np.isnan(rewards_FBG).all(axis=0)] = np.nan
    return total


def group_advantages(
    rewards_BG: np.ndarray, scale_rewards: str, batch_std: float | None = None
) -> Advantages:
    """Return (reward - group mean) / (std + 1e-4), unbiased; an unscored completion gets 0.

    `scale_rewards` names the std: of the "group", of the "batch" (given as `batch_std`, over all
    workers), or "none".
    """
    scored = ~np.isnan(rewards_BG)
    count = scored.sum(1, keepdims=True)
    filled = np.where(scored, rewards_BG, 0.0)
    mean = filled.sum(1, keepdims=True) / np.maximum(count, 1)
    centered = np.where(scored, rewards_BG - mean, 0.0)
    lowest = np.where(scored, rewards_BG, np.inf).min(1)
    highest = np.where(scored, rewards_BG, -np.inf).max(1)
    zero_variance = lowest >= highest
    centered[zero_variance] = 0.0
    if scale_rewards == "group":
        variance = (centered**2).sum(1, keepdims=True) / np.maximum(count - 1, 1)
        centered = centered / (np.sqrt(variance) + EPSILON)
    elif scale_rewards == "batch":
        assert batch_std is not None, "the std of the batch is measured over all workers"
        centered = centered / (batch_std + EPSILON)
    return Advantages(centered, rewards_BG, zero_variance)


def batch_std(
    rewards_BG: np.ndarray, sum_over_workers: Callable[[Sequence[float]], list[float]]
) -> float:
    """Unbiased standard deviation of all scored rewards of the batch, over all workers."""
    scored = rewards_BG[~np.isnan(rewards_BG)]
    total, count = sum_over_workers([float(scored.sum()), len(scored)])
    mean = total / max(count, 1)
    (squares,) = sum_over_workers([float(((scored - mean) ** 2).sum())])
    return float(np.sqrt(squares / max(count - 1, 1)))
