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
        self.tasks = sorted({problem.task for problem in problems})
        self.rewards = choose_rewards(config.reward_funcs, self.tasks)
        self.problems = workers.share(problems)
        self.prompts = workers.share(encode_for_evaluation(policy, problems, config))

    def measure(self) -> dict[str, float]:
        """Return the greedy solve rate over all workers, as `validation/solved`.

        Where there are several tasks, that of each stands beside it, as `validation/<task>`.
        """
        scores: list[float | None] = []
        length, size = self.config.max_completion_length, self.config.batch_size
        sampling = Sampling(length, self.policy.eos_token_ids)
        for start in range(0, len(self.prompts), size):
            prompts = self.prompts[start : start + size]
            noise = np.zeros((len(prompts), 1, length))
            groups = self.engine.generate(prompts, noise, sampling, greedy=[0])
            texts = decode_completions(self.policy, [answer.token_ids for (answer,) in groups])
            problems = self.problems[start : start + size]
            scores += [s.value for s in score_rows(self.rewards, problems, texts)]
        names = {"validation/solved": self.tasks}
        if len(self.tasks) > 1:
            names |= {f"validation/{task}": [task] for task in self.tasks}
        rates = {name: self._rate(scores, tasks) for name, tasks in names.items()}
        return {name: rate for name, rate in rates.items() if rate is not None}

    def _rate(self, scores: Sequence[float | None], tasks: Sequence[str]) -> float | None:
        """The share of solved problems of these tasks among those that have a score.

        Over all workers; None where nothing has a score.
        """
        own = [s for s, p in zip(scores, self.problems, strict=True) if p.task in tasks]
        solved, scored = sum(s == 1 for s in own), sum(s is not None for s in own)
        total, count = self.workers.sum([solved, scored])
        return total / count if count else None
