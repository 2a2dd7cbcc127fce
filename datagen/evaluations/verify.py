"""Scores recorded answers again with our own rewards, and counts where the record differs."""

from collections.abc import Sequence
from dataclasses import dataclass

from datagen.evaluations.results import Evaluation
from reward_fns.registry import REWARDS

TASKS = ("sat", "abd")
"""Tasks whose recorded challenges hold all that our rewards read."""

TOLERANCE = 1e-6


@dataclass(slots=True)
class Agreement:
    """How recorded scores of a task compare with ours."""

    num_rows: int = 0
    num_equal: int = 0
    num_recorded_higher: int = 0
    num_recorded_lower: int = 0
    num_unscored: int = 0
    """Rows that our reward could not judge, as without it being registered: no disagreement."""

    def add(self, recorded: float, ours: float | None) -> None:
        """Count one row."""
        self.num_rows += 1
        if ours is None:
            self.num_unscored += 1
        elif abs(recorded - ours) <= TOLERANCE:
            self.num_equal += 1
        elif recorded > ours:
            self.num_recorded_higher += 1
        else:
            self.num_recorded_lower += 1

    @property
    def disagreement(self) -> float | None:
        """Share of the scored rows whose record differs; None where none was scored."""
        num_scored = self.num_rows - self.num_unscored
        return 1 - self.num_equal / num_scored if num_scored else None


def verify_rows(rows: Sequence[Evaluation], agreements: dict[str, Agreement]) -> list[Evaluation]:
    """Return rows with our own scores, counted by task in `agreements`; others stay as they are."""
    verified = list(rows)
    for task in TASKS:
        places = [place for place, row in enumerate(rows) if row.task == task]
        if not places:
            continue
        scores = _scores(task, [rows[place] for place in places])
        for place, score in zip(places, scores, strict=True):
            agreements.setdefault(task, Agreement()).add(rows[place].score, score)
            verified[place] = rows[place].verified(score)
    return verified


def _scores(task: str, rows: Sequence[Evaluation]) -> list[float | None]:
    """Score a batch in one call, which lets a reward that runs programs run them side by side."""
    reward = REWARDS.get(task)
    if reward is None:
        return [None] * len(rows)
    return reward.reward_fn(
        prompts=[row.prompt for row in rows],
        completions=[row.response for row in rows],
        task=[task] * len(rows),
        env=[row.env for row in rows],
    )
