"""The two records that everything exchanges: a problem, and what an answer to it was worth."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a dataset.

    `env` is the JSON payload that the task's reward function reads, `difficulty` a JSON object
    whose `label` groups problems in reports. `answer` is certified, or a demonstration.
    """

    id: str
    task: str
    split: str
    index: int
    prompt: str
    answer: str
    env: str
    difficulty: str


@dataclass(frozen=True, slots=True)
class Score:
    """A reward and why it was given; `value` None means that the reward does not apply."""

    value: float | None
    reason: str
