"""TRL's protocol of reward functions, around functions that score a batch of one task."""

from collections.abc import Callable, Sequence
from typing import Any

from reward_fns.answers import completion_text, opened_thought
from reward_fns.records import Score

RewardFn = Callable[..., list[float | None]]
ScoreBatch = Callable[[Sequence[str], Sequence[str]], list[Score]]
"""Scores completions, given as text, to the problems of their envs."""


def reward_of(task_name: str) -> Callable[[ScoreBatch], RewardFn]:
    """Let TRL call a function that scores rows of one task.

    What it becomes takes the trainer's arguments and the columns of a batch by name, of which
    `task` and `env` are read. Rows of other tasks get None; without a column `task` all rows are
    of this one.
    """

    def decorate(score_batch: ScoreBatch) -> RewardFn:
        def reward_fn(
            prompts: Sequence[Any] | None = None,
            completions: Sequence[Any] = (),
            completion_ids: Any = None,
            trainer_state: Any = None,
            *,
            task: Sequence[str] | None = None,
            env: Sequence[str] | None = None,
            **columns: Any,
        ) -> list[float | None]:
            if env is None:
                raise ValueError(
                    f"{score_batch.__name__} needs the column env: the problem of each row as a "
                    "JSON string, as datasets hold it"
                )
            texts = [c if type(c) is str else completion_text(c) for c in completions]
            if prompts is not None:  # a thought that the prompt begins belongs to the completion
                begun = map(opened_thought, map(completion_text, prompts))
                texts = [tag + text for tag, text in zip(begun, texts, strict=True)]
            if task is None or list(task).count(task_name) == len(texts) == len(task):
                return [score.value for score in score_batch(texts, env)]
            rewards: list[float | None] = [None] * len(texts)
            rows = zip(texts, task, env, strict=True)
            own = [(i, *row) for i, row in enumerate(rows) if row[1] == task_name]
            scores = score_batch([row[1] for row in own], [row[3] for row in own])
            for (i, *_), score in zip(own, scores, strict=True):
                rewards[i] = score.value
            return rewards

        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(reward_fn, name, getattr(score_batch, name))  # trainers log it by its name
        return reward_fn

    return decorate
