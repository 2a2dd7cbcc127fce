"""Judge sampled completions: text, rewards, and the reason of each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from reward_fns import abd
from reward_fns.records import Problem, Score
from reward_fns.registry import OTHER_TASK, choose_rewards, score_each
from trainers.advantages import combine_rewards
from trainers.config import GrpoConfig
from trainers.data import decode_completions
from trainers.engine.batches import Group
from trainers.engine.rollout import Completion
from trainers.models.load import Policy

RUN_ENDS = ("ok", "error", "timeout", "memory", "output", "sandbox")
"""How the run of an ABD program ends; `sandbox` where that failed and the run tells nothing."""
ANSWERED = frozenset({"correct", "unsatisfied_clause", "wrong_unsat", "wrong_output", *RUN_ENDS})
"""Reasons that are given to a well-formed answer; any other is a failure to parse."""


@dataclass
class SampledGroup(Group):
    """A prompt's completions with all that is known of them; arrays have one entry each."""

    problem: Problem
    sampler_logprobs: list[list[float]]
    truncated: list[bool]
    texts: list[str]
    rewards: np.ndarray
    """Weighted sum over the reward functions; NaN where none applies, or one failed to judge."""
    reasons: list[str]
    num_malformed: int
    advantages: np.ndarray = field(default_factory=lambda: np.zeros(0))
    zero_variance: bool = False
    kept: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Whether the completion counts in the loss."""
    visit: int = 0
    """Number of its visit among those of the batch, over all workers."""
    first_sample: int = 0
    """Completions that earlier visits of the batch drew for the same problem."""
    part: int = 0
    """Which of the batch's optimizer steps trains on the group."""

    def kept_lengths(self) -> np.ndarray:
        """Tokens of the completions that count in the loss."""
        lengths: np.ndarray = np.array([len(c) for c in self.completions]) * self.kept
        return lengths

    def run_ends(self) -> list[str]:
        """How the programs that judge the answers ended; none for tasks that run no programs."""
        if self.problem.task != abd.TASK:
            return []
        ends = ["ok" if r in ("correct", "wrong_output") else r for r in self.reasons]
        return [end for end in ends if end in RUN_ENDS]


class Scorer:
    """The reward functions of a stage, ready to judge."""

    def __init__(self, config: GrpoConfig, policy: Policy, tasks: Collection[str]) -> None:
        self.rewards = choose_rewards(config.reward_funcs, tasks)
        self.weights = config.reward_weights or (1.0,) * len(self.rewards)
        self.policy = policy

    def score(
        self, problems: Sequence[Problem], prompts: Sequence[list[int]],
        sampled: Sequence[Sequence[Completion]],
    ) -> list[SampledGroup]:  # fmt: skip
        """Return the groups with their texts, rewards and reasons."""
        flat = [completion.token_ids for group in sampled for completion in group]
        texts = decode_completions(self.policy, flat)
        owners = [p for p, group in zip(problems, sampled, strict=True) for _ in group]
        scores_FN = [score_each(reward, owners, texts) for reward in self.rewards]
        values_FN = np.array([[_number(score) for score in row] for row in scores_FN])
        rewards_N = combine_rewards(values_FN[:, None], self.weights)[0]
        # What one function failed to judge has no sum to compare: its part would count as 0.
        failed = [any(map(_is_trouble, row)) for row in zip(*scores_FN, strict=True)]
        rewards_N[np.array(failed, dtype=bool)] = np.nan
        reasons = [_reason(row) for row in zip(*scores_FN, strict=True)]
        groups, start = [], 0
        for problem, prompt, group in zip(problems, prompts, sampled, strict=True):
            own = slice(start, start + len(group))
            groups.append(_group(problem, prompt, group, texts[own], rewards_N[own], reasons[own]))
            start = own.stop
        return groups


def _group(
    problem: Problem, prompt: list[int], sampled: Sequence[Completion], texts: list[str],
    rewards: np.ndarray, reasons: list[str],
) -> SampledGroup:  # fmt: skip
    return SampledGroup(
        prompt=prompt,
        completions=[c.token_ids for c in sampled],
        problem=problem,
        sampler_logprobs=[c.logprobs for c in sampled],
        truncated=[c.truncated for c in sampled],
        texts=texts,
        rewards=rewards,
        reasons=reasons,
        num_malformed=sum(r not in ANSWERED and r != OTHER_TASK.reason for r in reasons),
        kept=np.ones(len(sampled), dtype=bool),
    )


def _is_trouble(score: Score) -> bool:
    """Whether a function that is for the task gave no score."""
    return score.value is None and score is not OTHER_TASK


def _number(score: Score) -> float:
    return np.nan if score.value is None else score.value


def _reason(scores: Sequence[Score]) -> str:
    """The reason of the function that failed to judge, else of the first that applies."""
    ranked = sorted(scores, key=lambda s: (s is OTHER_TASK, not _is_trouble(s)))
    return ranked[0].reason
