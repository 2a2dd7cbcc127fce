"""The loop that SFT and GRPO share: steps, schedule, metrics, saved states and exact resume."""

import math
import time
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from datagen.whole_file import DamageError
from trainers.checkpoint import load_state, save_state
from trainers.config import TrainingStage, stage_name
from trainers.metrics import Means
from trainers.models.load import Policy
from trainers.optimizer import TrainedWeights, learning_rate, make_optimizer
from trainers.optimizer_state import restore_training_tensors, training_tensors
from trainers.random_state import capture_random_state, restore_random_state
from trainers.records import StageRecords
from trainers.run import Run, StopRequested, TrainingError


class Algorithm(Protocol):
    """What differs between stages: where the gradients of a step come from."""

    cursor: int
    """How many problems have been visited: the whole state of the data."""
    counts: dict[str, int]
    """How many rows were dropped or cut to fit, by metric: stands in every row of metrics."""

    def gradients(self, step: int, means: Means, times: Means) -> bool:
        """Add this worker's share of the gradient of optimizer step `step`.

        Returns, on every worker alike, whether there was anything to learn from.
        """

    def between_batches(self, step: int) -> bool:
        """Whether nothing sampled before `step` is needed any more: a state may be saved."""

    def validate(self) -> dict[str, float]:
        """Measure the validation split, on every worker alike."""


class StageLoop:
    """One stage on one worker."""

    def __init__(
        self, config: TrainingStage, policy: Policy, algorithm: Algorithm, run: Run,
        records: StageRecords,
    ) -> None:  # fmt: skip
        self.config, self.policy, self.algorithm, self.run = config, policy, algorithm, run
        self.records = records
        self.name = stage_name(config)
        self.root = run.state_root(self.name)
        self.weights = TrainedWeights(policy.model)
        self.optimizer = make_optimizer(self.weights.parameters, config)
        self.means, self.times = Means(), Means()
        self.saved: Path | None = None
        self.saved_step = 0

    def train(self) -> None:
        """Run the steps that are left; raises TrainingError when the loss is not finite."""
        step, stopping = self._resume(), False
        self.run.progress(f"train {self.name}", step, self.config.max_steps)
        while step < self.config.max_steps:
            self._step(step)
            step += 1
            self.run.progress(f"train {self.name}", step, self.config.max_steps)
            last = step == self.config.max_steps
            if self._due(self.config.eval_steps, step, last):
                for name, value in self.algorithm.validate().items():
                    self.means.add(name, value)
            if self._due(self.config.logging_steps, step, last):
                for name, count in self.algorithm.counts.items():
                    self.means.add(name, count)
                self.run.report(self.records.log(step, self.means, self.times))
            stopping = stopping or self.run.workers.sum([self.run.stop_requested()])[0] > 0
            due = stopping or step - self.saved_step >= self.config.save_steps
            if due and not last and self.algorithm.between_batches(step):
                self._save(step)
                if stopping:
                    raise StopRequested

    @staticmethod
    def _due(every: int | None, step: int, last: bool) -> bool:
        return every is not None and (last or step % every == 0)

    def _step(self, step: int) -> None:
        started, cpu = time.perf_counter(), time.process_time()
        rate = learning_rate(self.config, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        learns = self.algorithm.gradients(step, self.means, self.times)
        parameters = self.weights.parameters
        self.run.workers.sum_gradients(parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm))
        if not math.isfinite(norm):
            raise TrainingError(self._not_finite(step))
        if learns:  # else momentum and decay alone would move the weights
            self.optimizer.step()
            self.weights.write_back()
        self.means.add("optim/skipped_steps", not learns)
        self.means.add("optim/grad_norm", norm)
        self.means.add("optim/lr", rate)
        self.times.add("step_s", time.perf_counter() - started)
        self.times.add("step_cpu_s", time.process_time() - cpu)

    def _not_finite(self, step: int) -> str:
        left = f"the last good state is {self.saved}" if self.saved else "no state was saved yet"
        return (
            f"stage {self.name}: loss or gradient is not finite at step {step + 1}; {left}; "
            f"lower learning_rate (now {self.config.learning_rate:g})"
        )

    def _save(self, step: int) -> None:
        workers = self.run.workers
        mine = {
            "offsets": self.records.offsets(),
            "random": capture_random_state(),
            "means": self.means.sums,
            "times": self.times.sums,
        }
        everyone = workers.gather(mine)
        if workers.is_first:
            tensors = training_tensors(self.policy.model, self.weights, self.optimizer)
            state = {"cursor": self.algorithm.cursor, "workers": everyone}
            self.saved = save_state(self.root, step, tensors, state, self.config.save_total_limit)
        workers.barrier()
        self.saved_step = step

    def _resume(self) -> int:
        start, intact = self.records.start(), self.records.intact()
        loaded = load_state(self.root, partial(_check_records, intact), self._tell_skipped)
        if loaded is None:
            self.records.cut_back(start)
            return 0
        state: dict[str, Any] = loaded.state
        if len(state["workers"]) != self.run.workers.world_size:
            raise TrainingError(
                f"stage {self.name} was started on {len(state['workers'])} workers: go on with as "
                "many, or start over with --fresh"
            )
        mine = state["workers"][self.run.workers.rank]
        restore_training_tensors(self.policy.model, self.weights, self.optimizer, loaded.tensors)
        restore_random_state(mine["random"])
        self.means.restore(mine["means"])
        self.times.restore(mine["times"])
        self.records.cut_back(mine["offsets"])
        self.algorithm.cursor = state["cursor"]
        self.saved, self.saved_step = loaded.path, loaded.step
        return loaded.step

    def _tell_skipped(self, line: str) -> None:
        if self.run.workers.is_first:
            self.run.note(f"{self.name}: {line}; going on from an earlier one")


def _check_records(intact: list[dict[str, tuple[int, str]]], state: dict[str, Any]) -> None:
    """Raise DamageError for a state that goes on from lines that were changed since."""
    for worker, saved in zip(intact, state["workers"], strict=False):
        for name, offset in saved["offsets"].items():
            end, why_no_further = worker[name]
            if offset > end:
                raise DamageError(why_no_further)
