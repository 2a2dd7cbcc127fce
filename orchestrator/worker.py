"""What runs in a training worker: the stages, with the run's folder and Ray's report handed in."""

import time
from pathlib import Path
from typing import Any

import ray.train

from orchestrator.quiet import prepare_environment
from orchestrator.signals import Signals
from trainers.folders import SaveError
from trainers.parallel import current_workers
from trainers.run import Run, StopRequested, TrainingError
from trainers.runtime import pick_device, prepare_torch
from trainers.stages import run_course

KNOWN_ERRORS = (ValueError, TrainingError, SaveError)
"""What a user can mend: told in one line. Anything else is a crash, and is tried again."""
PROGRESS_EVERY_S = 0.5


def train_worker(config: dict[str, Any]) -> None:
    """Run the stages on one worker; what a user can mend is written down before it is raised."""
    signals = Signals(Path(config["folder"]))
    if signals.error.exists():
        return  # A worker said that training cannot go on: starting again would not help.
    prepare_environment(verbose=config["verbose"])
    prepare_torch(config["threads"])
    try:
        run = _run(config, signals)
        run_course(config["course"], run)
    except StopRequested:
        return
    except KNOWN_ERRORS as error:
        kind = "ValueError" if isinstance(error, ValueError) else "TrainingError"
        signals.write(signals.error, {"kind": kind, "message": str(error)})
        raise


def _run(config: dict[str, Any], signals: Signals) -> Run:
    workers = current_workers(pick_device(config["use_gpu"]))
    said = [0.0]

    def report(metrics: dict[str, Any]) -> None:
        ray.train.report(metrics)

    def progress(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if workers.is_first and (done in (0, total) or now - said[0] >= PROGRESS_EVERY_S):
            said[0] = now
            signals.write(signals.progress, {"what": what, "done": done, "total": total})

    return Run(
        folder=Path(config["folder"]),
        seed=config["seed"],
        workers=workers,
        report=report,
        progress=progress,
        stop_requested=signals.stop.exists,
    )
