"""The validation split, answered greedily while a stage trains."""

from collections.abc import Sequence

import numpy as np

from reward_fns.records import Problem
from reward_fns.registry import score
from trainers.config import EvaluationConfig
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
        self.problems = workers.share(problems)
        self.prompts = workers.share(encode_for_evaluation(policy, problems, config))

    def measure(self) -> dict[str, float]:
        """Return the greedy solve rate over all workers, as `validation/solved`."""
        solved = 0
        length, size = self.config.max_completion_length, self.config.batch_size
        sampling = Sampling(length, self.policy.eos_token_ids)
        for start in range(0, len(self.prompts), size):
            prompts = self.prompts[start : start + size]
            noise = np.zeros((len(prompts), 1, length))
            groups = self.engine.generate(prompts, noise, sampling, greedy=[0])
            problems = self.problems[start : start + size]
            for problem, (completion,) in zip(problems, groups, strict=True):
                text = self.policy.tokenizer.decode(completion.token_ids, skip_special_tokens=True)
                judged = score(self.config.reward, problem.task, str(text), problem.env)
                solved += judged.value == 1
        total, count = self.workers.sum([solved, len(self.problems)])
        return {"validation/solved": total / max(count, 1)}
