"""Group relative policy optimization: sample groups, judge them, learn from the differences.

One step samples `generation_batch_size` completions, scores them with the reward functions, turns
rewards into advantages within each group and follows the clipped surrogate. Groups without
variance carry no gradient: they are counted, and skipped or refilled. A batch is cut into optimizer
steps by the order in which its problems are visited, whoever samples them.

Definitions: Shao et al. 2024 (arXiv 2402.03300); TRL 1.16's GRPOTrainer.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch

from reward_fns.records import Problem
from trainers.advantages import batch_std, group_advantages
from trainers.config import GrpoConfig
from trainers.data import KeyedOrder, prompts_for
from trainers.engine.batches import micro_batches
from trainers.engine.rollout import Sampling
from trainers.engine.sampling import number_samples, uniforms
from trainers.engine.select import Engine
from trainers.losses import LossConfig, LossScale, reduce_loss, token_terms
from trainers.metrics import Means
from trainers.models.load import Policy
from trainers.records import StageRecords
from trainers.rollout_log import Rollout
from trainers.run import Run
from trainers.scoring import RUN_ENDS, SampledGroup, Scorer
from trainers.validation import Validation


class Visit(NamedTuple):
    """One problem that a batch samples completions of."""

    number: int
    """Its place among the visits of the batch, over all workers."""
    problem: int
    first_sample: int
    """Completions that earlier visits of the batch draw for the same problem."""


class Grpo:
    """Where the gradients of a GRPO step come from; see trainers.loop.Algorithm."""

    def __init__(
        self, config: GrpoConfig, policy: Policy, engine: Engine, reference: Engine | None,
        problems: Sequence[Problem], run: Run, name: str, records: StageRecords,
        validation: Validation | None, first_step: int = 0,
    ) -> None:  # fmt: skip
        """`first_step` counts the steps of earlier GRPO stages: the key of the noise goes on."""
        self.first_step = first_step
        self.config, self.policy, self.engine, self.reference = config, policy, engine, reference
        self.run, self.records, self.validation = run, records, validation
        self.cursor = 0
        self.batch: list[SampledGroup] = []
        self.sampled_at = 0
        limit = config.max_prompt_length or policy.max_length - config.max_completion_length
        prompts = prompts_for(policy, problems, limit, config.long_prompts)
        # Rewards read the env; the texts, half of a problem's bytes, would only be held.
        self.problems = [
            replace(problems[i], prompt="", answer="", difficulty="") for i in prompts.indices
        ]
        self.prompts = prompts.prompt_ids
        tasks = {problem.task for problem in self.problems}
        self.many_tasks = len(tasks) > 1
        self.counts = {
            "data/prompts_dropped": prompts.num_dropped,
            "data/prompts_truncated": prompts.num_truncated,
        }
        self.order = KeyedOrder(len(self.prompts), run.seed, name)
        self.scorer = Scorer(config, policy, tasks)
        self.sampling = Sampling(
            config.max_completion_length, policy.eos_token_ids, config.temperature, config.top_p
        )
        self.loss = LossConfig(
            config.loss_type, config.epsilon, config.epsilon_high or config.epsilon, config.beta,
            config.max_completion_length,
        )  # fmt: skip

    @property
    def steps_per_batch(self) -> int:
        """Optimizer steps taken on one batch of completions."""
        return self.config.steps_per_generation * self.config.num_iterations

    @property
    def on_policy(self) -> bool:
        """Whether every step is taken on completions of the very weights it changes."""
        return self.steps_per_batch == 1

    def between_batches(self, step: int) -> bool:
        """Whether step `step` samples anew."""
        return step % self.steps_per_batch == 0

    def validate(self) -> dict[str, float]:
        """Greedy solve rate on the validation split."""
        return self.validation.measure() if self.validation else {}

    def gradients(self, step: int, means: Means, times: Means) -> bool:
        """Add this worker's share of the gradient, sampling first where the batch is used up.

        Returns whether any group of any worker has a signal.
        """
        if self.between_batches(step):
            self.batch, self.sampled_at = self._sample(step, means, times), step
        started = time.perf_counter()
        part = (step - self.sampled_at) % self.config.steps_per_generation
        groups = [group for group in self.batch if group.part == part]
        scale, num_signals = self._count(groups)
        fresh = step == self.sampled_at
        useful = [g for g in groups if self._is_trained(g)]
        loss = sum(
            self._backward(micro, scale, fresh, means)
            for micro in micro_batches(useful, self.config.per_device_train_batch_size)
        )
        # The shares of all workers add up to the step's loss: a sum over one, not a mean.
        means.add("loss/policy", loss, 1 / self.run.workers.world_size)
        times.add("train_s", time.perf_counter() - started)
        return num_signals > 0

    def _is_trained(self, group: SampledGroup) -> bool:
        if self.config.dynamic_sampling == "none":
            return True
        # A KL penalty pulls on every completion, whether or not its group has a signal.
        return not group.zero_variance or self.config.beta > 0

    def _has_signal(self, group: SampledGroup) -> bool:
        """Whether a term of the loss pulls on a completion that counts in it."""
        bonus = self.config.entropy_coef > 0 and self._is_trained(group)
        if bonus or self.config.beta > 0:
            return bool(group.kept.any())
        return bool((group.advantages * group.kept).any())

    def _count(self, groups: Sequence[SampledGroup]) -> tuple[LossScale, int]:
        """Return the scale of the step's loss and its groups with a signal, over all workers."""
        tokens = sum(int(group.kept_lengths().sum()) for group in groups)
        completions = sum(len(group.completions) for group in groups)
        signals = sum(map(self._has_signal, groups))
        counts = self.run.workers.sum([tokens, completions, signals])
        return LossScale(int(counts[0]), int(counts[1])), int(counts[2])

    def _sample(self, step: int, means: Means, times: Means) -> list[SampledGroup]:
        """Sample and score one batch; with "refill", go on until enough groups have variance."""
        config = self.config
        wanted = config.generation_batch_size // config.num_generations
        batch: list[SampledGroup] = []
        first_visit, drawn = self.cursor, Counter[str]()
        attempts = 1 + (config.max_refills if config.dynamic_sampling == "refill" else 0)
        for _ in range(attempts):
            number = self.cursor - first_visit
            indices, self.cursor = self.order.take(self.cursor, wanted)
            ids = [self.problems[i].id for i in indices]
            first_samples = number_samples(ids, config.num_generations, drawn)
            visits = list(map(Visit, range(number, number + wanted), indices, first_samples))
            groups = self._roll_out(step, visits, times)
            self._advantages(groups)
            self._record(step, groups, means)
            if config.dynamic_sampling == "refill":
                groups = [g for g in groups if not g.zero_variance]
            batch += groups
            if self.run.workers.sum([len(batch)])[0] >= wanted:
                break
        self._deal(batch)
        return batch

    def _deal(self, batch: Sequence[SampledGroup]) -> None:
        """Deal the groups of all workers to the batch's optimizer steps, in the order of visits.

        By visit, so that the steps are the same on any number of workers.
        """
        everyone = self.run.workers.gather([group.visit for group in batch])
        rank = {visit: i for i, visit in enumerate(sorted(chain(*everyone)))}
        for group in batch:
            group.part = rank[group.visit] % self.config.steps_per_generation

    def _roll_out(self, step: int, visits: Sequence[Visit], times: Means) -> list[SampledGroup]:
        """Sample and score this worker's share of the visits."""
        config, started = self.config, time.perf_counter()
        # In runs, so that each optimizer step of the batch has work for all workers.
        mine = self.run.workers.share(visits, config.steps_per_generation)
        problems = [self.problems[visit.problem] for visit in mine]
        prompts = [self.prompts[visit.problem] for visit in mine]
        noise = uniforms(
            self.run.seed, self.first_step + step, [p.id for p in problems],
            config.num_generations, config.max_completion_length,
            [visit.first_sample for visit in mine],
        )  # fmt: skip
        sampled = self.engine.generate(prompts, noise, self.sampling) if prompts else []
        times.add("generate_s", time.perf_counter() - started)
        started = time.perf_counter()
        groups = self.scorer.score(problems, prompts, sampled)
        for group, visit in zip(groups, mine, strict=True):
            group.visit, group.first_sample = visit.number, visit.first_sample
        times.add("reward_s", time.perf_counter() - started)
        return groups

    def _advantages(self, groups: list[SampledGroup]) -> None:
        rewards = np.array([group.rewards for group in groups]).reshape(
            len(groups), self.config.num_generations
        )
        std = None
        if self.config.scale_rewards == "batch":
            std = batch_std(rewards, self.run.workers.sum)
        result = group_advantages(rewards, self.config.scale_rewards, std)
        for i, group in enumerate(groups):
            group.advantages = result.values_BG[i]
            group.zero_variance = bool(result.zero_variance_B[i])
            if self.config.mask_truncated_completions:
                group.kept = ~np.array(group.truncated)

    def _record(self, step: int, groups: list[SampledGroup], means: Means) -> None:
        self.records.append_rollouts([r for group in groups for r in _rollouts(step, group)])
        for group in groups:
            scored = group.rewards[~np.isnan(group.rewards)]
            means.add("reward/mean", float(scored.sum()), len(scored))
            if self.many_tasks:
                task = group.problem.task
                means.add(f"reward/{task}", float(scored.sum()), len(scored))
                means.add(f"groups/zero_variance_{task}", group.zero_variance)
            ends = group.run_ends()
            for end in RUN_ENDS if ends else ():
                means.add(f"sandbox/{end}", ends.count(end), len(ends))
            if len(scored) > 1:
                means.add("reward/std", float(scored.std(ddof=1)))
            means.add("reward/malformed", group.num_malformed, len(scored))
            means.add("reward/unscored", len(group.rewards) - len(scored), len(group.rewards))
            means.add("groups/zero_variance", group.zero_variance)
            means.add("completions/truncated", sum(group.truncated), len(group.truncated))
            cut = group.rewards[np.array(group.truncated) & ~np.isnan(group.rewards)]
            means.add("completions/truncated_reward", float(cut.sum()), len(cut))
            means.add_values("completions/mean_length", map(len, group.completions))

    def _backward(
        self, groups: list[SampledGroup], scale: LossScale, fresh: bool, means: Means
    ) -> float:
        """Add the gradient of some groups' share of the loss; return that share."""
        device = self.run.workers.device
        prompts = [group.prompt for group in groups]
        completions = [group.completions for group in groups]
        logprobs_M, entropy_M = self.engine.logprobs(prompts, completions, self.config.temperature)
        lengths = np.array([len(c) for group in completions for c in group])
        lengths_S = torch.as_tensor(lengths, device=device)

        def per_token(values: Any) -> torch.Tensor:
            return torch.as_tensor(np.concatenate(values), dtype=torch.float32, device=device)

        advantages_M = per_token([g.advantages for g in groups]).repeat_interleave(lengths_S)
        kept_M = per_token([g.kept for g in groups]).repeat_interleave(lengths_S)
        sampler_M = per_token([p for g in groups for p in g.sampler_logprobs])
        reference_M = None
        if self.reference is not None:
            with torch.no_grad():
                reference_M, _ = self.reference.logprobs(
                    prompts, completions, self.config.temperature
                )
        old_M = None if self.on_policy else sampler_M
        terms = token_terms(self.loss, logprobs_M, advantages_M, old_M, reference_M)
        loss = reduce_loss(self.loss, terms.loss_M, kept_M, lengths_S, scale)
        if self.config.entropy_coef:
            bonus = (entropy_M * kept_M).sum() / max(scale.num_tokens, 1)
            loss = loss - self.config.entropy_coef * bonus
        loss.backward()
        with torch.no_grad():
            means.add("policy/entropy", float(entropy_M.sum()), len(entropy_M))
            means.add("policy/clip_fraction", float(terms.clipped_M.sum()), len(logprobs_M))
            if terms.kl_M is not None:
                means.add("policy/kl", float(terms.kl_M.sum()), len(logprobs_M))
            if fresh:
                gap = (logprobs_M - sampler_M).abs().sum()
                means.add("sampler/mismatch", float(gap), len(logprobs_M))
        return float(loss.detach())


def _rollouts(step: int, group: SampledGroup) -> list[Rollout]:
    return [
        Rollout(
            step=step + 1,
            problem_id=group.problem.id,
            sample=group.first_sample + i,
            text=group.texts[i],
            token_ids=group.completions[i],
            sampler_logprobs=group.sampler_logprobs[i],
            reward=None if np.isnan(group.rewards[i]) else float(group.rewards[i]),
            reason=group.reasons[i],
            advantage=float(group.advantages[i]),
            policy_step=step,
        )
        for i in range(len(group.completions))
    ]
