"""Supervised fine-tuning: the log-likelihood of completions, given their prompts.

Rows that share a prompt stand beside each other in the dataset and are trained as one group, so
that their prompt is computed once; nothing is padded in the dense layers.
"""

from collections.abc import Sequence

import torch

from reward_fns.records import Problem
from trainers.config import SftConfig
from trainers.data import KeyedOrder, answers_for, prompts_for
from trainers.engine.batches import Group, micro_batches
from trainers.engine.select import Engine
from trainers.metrics import Means
from trainers.models.load import Policy
from trainers.run import Run
from trainers.validation import Validation


class Sft:
    """Where the gradients of an SFT step come from; see trainers.loop.Algorithm."""

    def __init__(
        self, config: SftConfig, policy: Policy, engine: Engine, problems: Sequence[Problem],
        run: Run, name: str, validation: Validation | None,
    ) -> None:  # fmt: skip
        self.config, self.engine, self.run, self.validation = config, engine, run, validation
        self.cursor = 0
        limit = config.max_prompt_length or policy.max_length - config.max_completion_length
        prompts = prompts_for(policy, problems, limit, config.long_prompts)
        kept = [problems[i] for i in prompts.indices]
        answers = answers_for(policy, kept, config.max_completion_length)
        self.groups = _group(prompts.prompt_ids, answers.completion_ids)
        self.counts = {
            "data/prompts_dropped": prompts.num_dropped,
            "data/prompts_truncated": prompts.num_truncated,
            "data/completions_truncated": answers.num_truncated,
        }
        self.order = KeyedOrder(len(self.groups), run.seed, name)

    def between_batches(self, step: int) -> bool:
        """Every step is a batch of its own."""
        return True

    def validate(self) -> dict[str, float]:
        """Greedy solve rate on the validation split."""
        return self.validation.measure() if self.validation else {}

    def gradients(self, step: int, means: Means, times: Means) -> bool:
        """Add the gradient of the mean loss over the step's completion tokens."""
        batch = self._next_groups()
        mine = self.run.workers.share(batch)
        tokens = sum(len(c) for group in batch for c in group.completions)
        for micro in micro_batches(mine, self.config.per_device_train_batch_size):
            logprobs, _ = self.engine.logprobs(
                [group.prompt for group in micro], [group.completions for group in micro]
            )
            (-logprobs.sum() / tokens).backward()
            with torch.no_grad():
                means.add("loss/train", float(-logprobs.sum()), len(logprobs))
        # A sum over workers for each step, not a mean over workers.
        means.add("data/tokens", sum(g.num_tokens for g in mine), 1 / self.run.workers.world_size)
        return True  # every completion has a token, its eos or the beginning of it

    def _next_groups(self) -> list[Group]:
        """Take groups until they hold the step's completions."""
        batch: list[Group] = []
        size = 0
        while size < self.config.batch_size:
            (index,), self.cursor = self.order.take(self.cursor, 1)
            batch.append(self.groups[index])
            size += len(self.groups[index].completions)
        return batch


def _group(prompts: list[list[int]], completions: list[list[int]]) -> list[Group]:
    groups: list[Group] = []
    for prompt, completion in zip(prompts, completions, strict=True):
        if groups and groups[-1].prompt == prompt:
            groups[-1].completions.append(completion)
        else:
            groups.append(Group(prompt, [completion]))
    return groups
