"""Judge sampled completions: text, rewards, and the reason of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedTokenizerBase

from reward_fns.records import Problem
from reward_fns.registry import get_reward
from trainers.advantages import combine_rewards
from trainers.config import GrpoConfig
from trainers.engine.batches import Group
from trainers.engine.rollout import Completion

ANSWERED = frozenset({"correct", "unsatisfied_clause", "wrong_unsat"})
"""Reasons that are given to a well-formed answer; any other is a failure to parse."""


@dataclass
class SampledGroup(Group):
    """A prompt's completions with all that is known of them; arrays have one entry each."""

    problem: Problem
    sampler_logprobs: list[list[float]]
    truncated: list[bool]
    texts: list[str]
    rewards: np.ndarray
    """Weighted sum over the reward functions; NaN where none applies."""
    reasons: list[str]
    num_malformed: int
    advantages: np.ndarray = field(default_factory=lambda: np.zeros(0))
    zero_variance: bool = False
    kept: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Whether the completion counts in the loss."""

    def kept_lengths(self) -> np.ndarray:
        """Tokens of the completions that count in the loss."""
        lengths: np.ndarray = np.array([len(c) for c in self.completions]) * self.kept
        return lengths


class Scorer:
    """The reward functions of a stage, ready to judge."""

    def __init__(self, config: GrpoConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        self.rewards = [get_reward(name) for name in config.reward_funcs]
        self.weights = config.reward_weights or (1.0,) * len(self.rewards)
        self.tokenizer = tokenizer

    def score(
        self, problems: Sequence[Problem], prompts: Sequence[list[int]],
        sampled: Sequence[Sequence[Completion]],
    ) -> list[SampledGroup]:  # fmt: skip
        """Return the groups with their texts, rewards and reasons."""
        flat = [completion.token_ids for group in sampled for completion in group]
        texts = iter(self.tokenizer.batch_decode(flat, skip_special_tokens=True))
        return [
            self._group(problem, prompt, group, [next(texts) for _ in group])
            for problem, prompt, group in zip(problems, prompts, sampled, strict=True)
        ]

    def _group(
        self, problem: Problem, prompt: list[int], sampled: Sequence[Completion], texts: list[str]
    ) -> SampledGroup:
        judged = [
            [self._judge(i, problem, text) for text in texts] for i in range(len(self.rewards))
        ]
        values = np.array([[value for value, _ in row] for row in judged])
        rewards = combine_rewards(values[:, None], self.weights)[0]
        reasons = [self._reason([row[i][1] for row in judged]) for i in range(len(texts))]
        return SampledGroup(
            prompt=prompt,
            completions=[c.token_ids for c in sampled],
            problem=problem,
            sampler_logprobs=[c.logprobs for c in sampled],
            truncated=[c.truncated for c in sampled],
            texts=texts,
            rewards=rewards,
            reasons=reasons,
            num_malformed=sum(r not in ANSWERED and r != "other_task" for r in reasons),
            kept=np.ones(len(sampled), dtype=bool),
        )

    def _judge(self, index: int, problem: Problem, text: str) -> tuple[float, str]:
        reward = self.rewards[index]
        if reward.task != problem.task:
            return math.nan, "other_task"
        judged = reward.score(text, problem.env)
        return (math.nan if judged.value is None else judged.value), judged.reason

    @staticmethod
    def _reason(reasons: list[str]) -> str:
        """The reason of the first reward function that applies."""
        return next((r for r in reasons if r != "other_task"), "other_task")
