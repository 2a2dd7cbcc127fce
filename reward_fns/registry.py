"""Every reward by name: a new task is one new file and one line here."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from reward_fns.abd import (
    abd_affine_reward_fn,
    abd_reward_fn,
    score_abd,
    score_abd_affine,
    score_abd_affine_batch,
    score_abd_batch,
)
from reward_fns.protocol import RewardFn, ScoreBatch
from reward_fns.records import Problem, Score
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
    reward_fn: RewardFn
    score_batch: ScoreBatch | None = None
    """Scores many at once, where that is more than one after another."""

    def score_all(self, completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
        """Return the score of each completion to the problem of its env."""
        if self.score_batch is not None:
            return self.score_batch(completions, envs)
        return [self.score(*row) for row in zip(completions, envs, strict=True)]


REWARDS: dict[str, Reward] = {
    reward.name: reward
    for reward in (
        Reward("sat", "sat", score_sat, sat_reward_fn),
        Reward("sat_fraction", "sat", score_sat_fraction, sat_fraction_reward_fn),
        Reward("sat_affine", "sat", score_sat_affine, sat_affine_reward_fn),
        Reward("abd", "abd", score_abd, abd_reward_fn, score_abd_batch),
        Reward("abd_affine", "abd", score_abd_affine, abd_affine_reward_fn, score_abd_affine_batch),
    )
}

OTHER_TASK = Score(None, "other_task")


def get_reward(name: str) -> Reward:
    """Return the reward of that name; ValueError lists the names there are."""
    try:
        return REWARDS[name]
    except KeyError:
        known = ", ".join(sorted(REWARDS))
        raise ValueError(f"reward {name!r} is not registered: use one of {known}") from None


def choose_rewards(names: Sequence[str] | None, tasks: Collection[str] = ()) -> list[Reward]:
    """Return the rewards of these names; without names each task's own, which is called like it.

    Raises ValueError where none of them is for one of `tasks`: nothing would ever be scored.
    """
    if names is None:
        chosen = [reward for reward in REWARDS.values() if reward.name == reward.task]
    else:
        chosen = [get_reward(name) for name in names]
    if tasks and not any(reward.task in tasks for reward in chosen):
        fitting = ", ".join(name for name, reward in REWARDS.items() if reward.task in tasks)
        raise ValueError(
            f"reward_funcs {', '.join(reward.name for reward in chosen)} is for no problem of task "
            f"{', '.join(sorted(tasks))}: use {fitting or 'a dataset of another task'}"
        )
    return chosen


def score_each(reward: Reward, problems: Sequence[Problem], texts: Sequence[str]) -> list[Score]:
    """Return the score of each problem's completion; value None for problems of other tasks."""
    own = [i for i, problem in enumerate(problems) if problem.task == reward.task]
    scores = [OTHER_TASK] * len(problems)
    judged = reward.score_all([texts[i] for i in own], [problems[i].env for i in own])
    for i, score in zip(own, judged, strict=True):
        scores[i] = score
    return scores


def score_rows(
    rewards: Sequence[Reward], problems: Sequence[Problem], texts: Sequence[str]
) -> list[Score]:
    """Return the score of each problem's completion by the first reward for its task."""
    first = {reward.task: reward for reward in reversed(rewards)}
    columns = [score_each(reward, problems, texts) for reward in first.values()]
    rows = zip(*columns, strict=True)
    return [next((s for s in row if s is not OTHER_TASK), OTHER_TASK) for row in rows]


def score(reward_name: str, task: str, completion: str, env: str) -> Score:
    """Score a completion to a row of `task`; value None if the reward is for another task."""
    reward = get_reward(reward_name)
    return reward.score(completion, env) if reward.task == task else OTHER_TASK
