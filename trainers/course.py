"""What a run is to train, and what of it is done: read by the driver, which needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from trainers.config import EvaluationConfig, ModelConfig, SandboxConfig, StageConfig
from trainers.folders import verify_folder

BASE = "base"


@dataclass(frozen=True)
class Course:
    """What a run trains: a model, stages, data and how each checkpoint is measured."""

    model: ModelConfig
    stages: Sequence[StageConfig]
    evaluation: EvaluationConfig
    datasets: Mapping[str, Path]
    """Folder of each dataset by name."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    """How programs are run that judge answers."""
    today: date | None = None
    """The date that chat templates write; the day that it is by default."""


def is_finished(run_folder: Path, name: str) -> bool:
    """Whether the checkpoint `name` of a run is there, whole."""
    try:
        verify_folder(run_folder / "checkpoints" / name)
    except (ValueError, OSError):
        return False
    return True
