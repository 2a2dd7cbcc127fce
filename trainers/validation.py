"""The validation split, answered greedily while a stage trains."""

from collections.abc import Sequence

import numpy as np

from reward_fns.records import Problem
from reward_fns.registry import choose_rewards, score_rows
from trainers.config import EvaluationConfig
from trainers.data import decode_completions
from trainers.engine.rollout import Sampling
from trainers.engine.select import Engine
from trainers.evaluate import encode_for_evaluation
from trainers.models.load import Policy
from trainers.parallel import Workers


class Validation:
    """A fixed set of problems, and how many of them the policy solves now."""

    def __init__(
        self, policy: Policy, engine: Engine, problems: Sequence[Problem],
        config: EvaluationConfig, workers: Workers,
    ) -> None:  # fmt: skip
        self.policy, self.engine, self.config, self.workers = policy, engine, config, workers
        self.rewards = choose_rewards(config.reward_funcs)
        self.tasks = sorted({problem.task for problem in problems})
        self.problems = workers.share(problems)
        self.prompts = workers.share(encode_for_evaluation(policy, problems, config))

    def measure(self) -> dict[str, float]:
        """Return the greedy solve rate over all workers, as `validation/solved`.

        Where there are several tasks, that of each stands beside it, as `validation/<task>`.
        """
        solved: list[bool] = []
        length, size = self.config.max_completion_length, self.config.batch_size
        sampling = Sampling(length, self.policy.eos_token_ids)
        for start in range(0, len(self.prompts), size):
            prompts = self.prompts[start : start + size]
            noise = np.zeros((len(prompts), 1, length))
            groups = self.engine.generate(prompts, noise, sampling, greedy=[0])
            texts = decode_completions(self.policy, [answer.token_ids for (answer,) in groups])
            problems = self.problems[start : start + size]
            solved += [s.value == 1 for s in score_rows(self.rewards, problems, texts)]
        rates = {"validation/solved": self._rate(solved, self.tasks)}
        if len(self.tasks) > 1:
            rates |= {f"validation/{task}": self._rate(solved, [task]) for task in self.tasks}
        return rates

    def _rate(self, solved: Sequence[bool], tasks: Sequence[str]) -> float:
        """The share of solved problems of these tasks, over all workers."""
        own = [s for s, p in zip(solved, self.problems, strict=True) if p.task in tasks]
        total, count = self.workers.sum([sum(own), len(own)])
        return total / max(count, 1)
