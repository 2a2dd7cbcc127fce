"""What runs in a training worker: the stages, with the run's folder and Ray's report handed in."""

import time
from pathlib import Path
from typing import Any

import ray.train

from orchestrator.failures import is_user_mistake
from orchestrator.quiet import prepare_environment
from orchestrator.signals import Signals
from reward_fns.sandbox import SandboxError
from trainers.folders import SaveError
from trainers.parallel import current_workers
from trainers.programs import prepare_sandbox
from trainers.run import Run, StopRequested, TrainingError
from trainers.runtime import pick_device, prepare_torch
from trainers.stages import run_course

PROGRESS_EVERY_S = 0.5


def train_worker(config: dict[str, Any]) -> None:
    """Run the stages on one worker; what a user can mend is written down before it is raised."""
    signals = Signals(Path(config["folder"]))
    if signals.error.exists():
        return  # A worker said that training cannot go on: starting again would not help.
    prepare_environment(verbose=config["verbose"], in_worker=True)
    prepare_torch(config["threads"])
    prepare_sandbox(config["course"].sandbox, config["threads"])
    try:
        run = _run(config, signals)
        run_course(config["course"], run)
    except StopRequested:
        return
    except (ValueError, TrainingError, SaveError, SandboxError) as error:
        # Anything else is a crash, and so is a library's ValueError: these are tried again.
        mistake = isinstance(error, ValueError)
        if not mistake or is_user_mistake(error):
            kind = "ValueError" if mistake else "TrainingError"
            signals.write(signals.error, {"kind": kind, "message": str(error)})
        raise


class _Progress:
    """Writes what the first worker does, at most every half second, and all that it has finished.

    A step can end, and the next begin, between two looks of the driver.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._what = ""
        self._began = self._said = 0.0
        self._finished: list[dict[str, Any]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._began = what, now
        if total and done == total:
            took_s = round(now - self._began, 1)
            self._finished.append({"what": what, "total": total, "took_s": took_s})
        if done in (0, total) or now - self._said >= PROGRESS_EVERY_S:
            self._said = now
            said = {"what": what, "done": done, "total": total, "finished": self._finished}
            self._signals.write(self._signals.progress, said)


def _run(config: dict[str, Any], signals: Signals) -> Run:
    workers = current_workers(pick_device(config["use_gpu"]))

    def report(metrics: dict[str, Any]) -> None:
        ray.train.report(metrics)

    def silent(what: str, done: int, total: int) -> None:
        """Say nothing: the first worker speaks for all."""

    def note(line: str) -> None:
        told = signals.read(signals.notes) or {"lines": []}
        signals.write(signals.notes, {"lines": [*told["lines"], line]})

    return Run(
        folder=Path(config["folder"]),
        seed=config["seed"],
        workers=workers,
        report=report,
        progress=_Progress(signals) if workers.is_first else silent,
        stop_requested=signals.stop.exists,
        note=note,
    )
