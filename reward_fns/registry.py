"""Every reward by name: a new task is one new file and one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from reward_fns.records import Score
from reward_fns.sat import (
    sat_affine_reward_fn,
    sat_fraction_reward_fn,
    sat_reward_fn,
    score_sat,
    score_sat_affine,
    score_sat_fraction,
)


@dataclass(frozen=True)
class Reward:
    """A named reward: `score(completion, env)`, and the same as a function in TRL's protocol."""

    name: str
    task: str
    score: Callable[[str, str], Score]
    reward_fn: Callable[..., list[float | None]]


REWARDS: dict[str, Reward] = {
    reward.name: reward
    for reward in (
        Reward("sat", "sat", score_sat, sat_reward_fn),
        Reward("sat_fraction", "sat", score_sat_fraction, sat_fraction_reward_fn),
        Reward("sat_affine", "sat", score_sat_affine, sat_affine_reward_fn),
    )
}

_OTHER_TASK = Score(None, "other_task")


def get_reward(name: str) -> Reward:
    """Return the reward of that name; ValueError lists the names there are."""
    try:
        return REWARDS[name]
    except KeyError:
        known = ", ".join(sorted(REWARDS))
        raise ValueError(f"reward {name!r} is not registered: use one of {known}") from None


def score(reward_name: str, task: str, completion: str, env: str) -> Score:
    """Score a completion to a row of `task`; value None if the reward is for another task."""
    reward = get_reward(reward_name)
    return reward.score(completion, env) if reward.task == task else _OTHER_TASK
