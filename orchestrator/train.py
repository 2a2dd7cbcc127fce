"""Training as a Ray Train job: workers that run the stages, and a driver that watches them.

Workers report to Ray once per logging interval: each report waits for a poll of the controller.
What the driver shows and tracks it reads from the run's folder, which all workers share.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.backend import Backend, BackendConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.torch.config import _TorchBackend

from orchestrator.config import ResourcesConfig
from orchestrator.failures import Terminated, TrainingFailed
from orchestrator.quiet import ray_address
from orchestrator.signals import STOPPING, Signals
from trainers.course import Course
from trainers.parallel import join_in_file

WATCH_EVERY_S = 0.25
COLLECTIVE_TIMEOUT_S = 900
"""After so long without its peers a worker gives up, and Ray starts the group again."""
TERMINATION_GRACE_S = 20
"""So long the workers have to save their state after SIGTERM: schedulers kill after 30 s."""


def start_worker(config: dict[str, Any]) -> None:
    """Run the stages on one worker.

    Loaded by name, in the worker alone: driver and controller hold no transformers in memory.
    """
    resolve_name("orchestrator.worker:train_worker")(config)


def launch_training(
    course: Course, folder: Path, seed: int, resources: ResourcesConfig, *, verbose: bool,
    watch: Callable[[dict[str, Any] | None], None],
) -> None:  # fmt: skip
    """Run `course` on Ray Train; `watch` is called with the workers' progress while it runs.

    Ctrl-C and SIGTERM ask the workers to save their state and stop, and are raised again then, or
    after TERMINATION_GRACE_S on SIGTERM. Raises ValueError for a user's mistake that the workers
    met, TrainingFailed otherwise.
    """
    signals = Signals(folder)
    signals.clear()
    trainer = _trainer(course, folder, seed, resources, verbose)
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=_fit, args=(trainer, outcome), daemon=True, name="ray-train")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(WATCH_EVERY_S)
            watch(signals.read(signals.progress))
    except KeyboardInterrupt as stop:
        signals.write(signals.stop, {"time": time.time()})
        watch(STOPPING)
        thread.join(TERMINATION_GRACE_S if isinstance(stop, Terminated) else None)
        raise
    watch(signals.read(signals.progress))
    _raise_error(signals, outcome[0] if outcome else None)


def _fit(trainer: TorchTrainer, outcome: list[BaseException | None]) -> None:
    try:
        trainer.fit()
        outcome.append(None)
    except BaseException as error:  # the border between Ray's thread and ours
        outcome.append(error)


def _raise_error(signals: Signals, error: BaseException | None) -> None:
    told = signals.read(signals.error)
    if told is not None:
        kind = ValueError if told["kind"] == "ValueError" else TrainingFailed
        raise kind(told["message"]) from error
    if error is not None:
        cause = getattr(error, "worker_failures", None) or error
        lines = str(next(iter(cause.values())) if isinstance(cause, dict) else cause).splitlines()
        reason = next((line for line in reversed(lines) if line.strip()), type(error).__name__)
        raise TrainingFailed(f"training failed: {reason.strip()} (--debug shows where)") from error


def _trainer(
    course: Course, folder: Path, seed: int, resources: ResourcesConfig, verbose: bool
) -> TorchTrainer:
    threads = resources.threads_per_worker or max(1, int(resources.cpus_per_worker))
    return TorchTrainer(
        start_worker,
        train_loop_config={
            "course": course,
            "folder": str(folder),
            "seed": seed,
            "threads": threads,
            "use_gpu": resources.gpus_per_worker > 0,
            "verbose": verbose,
        },
        scaling_config=ScalingConfig(
            num_workers=resources.num_workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker=_per_worker(resources),
        ),
        run_config=RunConfig(  # type: ignore[call-arg]  # V2's, behind V1's annotations
            name="ray",
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=resources.max_failures),
            worker_runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
        ),
        torch_config=_torch_config(resources),
    )


def _torch_config(resources: ResourcesConfig) -> TorchConfig:
    """How workers find each other: on a Ray of our own without a port that others can reach."""
    kind = TorchConfig if ray_address() else LoopbackTorchConfig
    backend = "nccl" if resources.gpus_per_worker else "gloo"
    return kind(backend=backend, timeout_s=COLLECTIVE_TIMEOUT_S)


class LoopbackTorchConfig(TorchConfig):
    """Workers of one machine meet in a file: torch's TCP store listens on all interfaces."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What sets the process group up."""
        return _FileBackend


class _FileBackend(_TorchBackend):
    """Runs in the controller; the file is there as long as the workers are."""

    folder: str | None = None

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        self.folder = tempfile.mkdtemp(prefix="clutch-")
        size, found = len(worker_group), backend_config.to_dict()
        group = (self.folder, size, found["backend"], found["timeout_s"])
        calls = [
            worker_group.execute_single_async(rank, join_in_file, rank, *group)
            for rank in range(size)
        ]
        ray.get(calls)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        try:
            super().on_shutdown(worker_group, backend_config)
        finally:
            if self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)


def _per_worker(resources: ResourcesConfig) -> dict[str, float]:
    wanted = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        wanted["GPU"] = resources.gpus_per_worker
    return wanted
