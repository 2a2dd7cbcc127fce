"""What a stage is handed: where the run lives, who the workers are, and whom to report to."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.course import evaluation_path
from trainers.parallel import Workers

Report = Callable[[dict[str, Any]], None]
Progress = Callable[[str, int, int], None]


class StopRequested(Exception):
    """The run was asked to stop; its state is saved."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the step and the last good state."""


@dataclass(frozen=True)
class Run:
    """One run, seen from one worker."""

    folder: Path
    seed: int
    workers: Workers
    report: Report
    """Called on every worker with each row of metrics."""
    progress: Progress
    """Called with what is being done, how much is done, and of how much (0: not known)."""
    stop_requested: Callable[[], bool]
    """Whether the run is to save its state and stop; asked after each step and batch of answers."""
    note: Callable[[str], None] = warnings.warn
    """Called on the first worker with a line that the user should read."""

    def state_root(self, stage: str) -> Path:
        """Where the states of a stage are saved."""
        return self.folder / "state" / stage

    def checkpoint(self, name: str) -> Path:
        """Where a finished model lies: of a stage, or `base`."""
        return self.folder / "checkpoints" / name

    def evaluation(self, name: str) -> Path:
        """Where the answers of a checkpoint are kept."""
        return evaluation_path(self.folder, name)
