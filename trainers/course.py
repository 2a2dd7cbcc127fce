"""What a run is to train, and what of it is done: read by the driver, which needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from datagen.whole_file import DamageError
from trainers.config import EvaluationConfig, ModelConfig, SandboxConfig, StageConfig
from trainers.folders import verify_folder
from trainers.journal import read_whole

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


def is_evaluated(run_folder: Path, name: str) -> bool:
    """Whether the answers of the checkpoint `name` of a run are there, whole."""
    try:
        read_whole(evaluation_path(run_folder, name))
    except (ValueError, OSError):
        return False
    return True


def evaluation_path(run_folder: Path, name: str) -> Path:
    """Where the answers of a checkpoint are kept."""
    return run_folder / "evaluations" / f"{name}.jsonl"


def damaged(run_folder: Path, names: Sequence[str]) -> list[str]:
    """Return one line for each checkpoint, and each file of answers, whose bytes were changed."""
    found = []
    for name in names:
        checkpoint, answers = run_folder / "checkpoints" / name, evaluation_path(run_folder, name)
        try:
            if checkpoint.exists():
                verify_folder(checkpoint)
        except DamageError as error:
            found.append(f"{error}; {name} is made again")
        try:
            if answers.exists():
                read_whole(answers)
        except DamageError as error:
            found.append(f"{error}; {name} is evaluated again")
    return found
