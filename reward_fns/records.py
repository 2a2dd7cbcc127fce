"""The two records that every floor speaks of: a problem, and what an answer to it is worth."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a dataset."""

    id: str
    task: str
    split: str
    index: int
    prompt: str
    answer: str
    env: str
    """What the scorer needs, as JSON."""
    difficulty: str
    """Label and numbers by which results are grouped, as JSON."""


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a completion, None where the scorer does not judge the task, and why."""

    value: float | None
    reason: str
