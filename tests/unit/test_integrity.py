"""A byte is flipped in each kind of file of a run: every command redoes it the same, or refuses.

The stages run in this process, by the same calls as in a worker; all else is the real command.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from synthetic_run import write_run

from datagen.dataset import build_dataset
from datagen.whole_file import DamageError
from orchestrator.cli import run_command
from orchestrator.config import load_config
from orchestrator.finished_run import settle_changes
from orchestrator.manifest import build_manifest, write_manifest
from orchestrator.pipeline import RunPaths
from trainers.course import damaged
from trainers.parallel import Workers
from trainers.run import Run
from trainers.stages import run_course

CONFIG = """\
name: small
model: {type: tiny, hidden_size: 16, num_hidden_layers: 1, head_dim: 8, intermediate_size: 16}
datasets:
  sat:
    type: sat
    style: compact
    sizes: [{n: 4, m: 6}]
    splits:
      train: 40
      test: 6
      warmup: {num_problems: 20, demonstrations: {type: walk}}
stages:
  - type: sft
    dataset: sat
    split: warmup
    max_steps: 3
    batch_size: 8
    max_completion_length: 20
    logging_steps: 1
    save_steps: 1
  - type: grpo
    dataset: sat
    max_steps: 6
    num_generations: 4
    generation_batch_size: 16
    learning_rate: 3e-3
    max_completion_length: 6
    logging_steps: 1
    save_steps: 2
evaluation: {dataset: sat, num_samples: 2, max_completion_length: 6}
tracking: {type: none}
"""
FINISHED = (
    "SHA256SUMS",
    "checkpoints/base/README.md",
    "checkpoints/base/config.json",
    "checkpoints/base/generation_config.json",
    "checkpoints/base/manifest.json",
    "checkpoints/base/model.safetensors",
    "checkpoints/base/tokenizer.json",
    "checkpoints/base/tokenizer_config.json",
    "checkpoints/sft/model.safetensors",
    "checkpoints/grpo/manifest.json",
    "checkpoints/grpo/model.safetensors",
    "config.sha256",
    "config.yaml",
    "datasets/sat/manifest.json",
    "datasets/sat/test-00000.parquet",
    "datasets/sat/train-00000.parquet",
    "datasets/sat/warmup-00000.parquet",
    "delta_report.html",
    "delta_report.md",
    "eval_after.jsonl",
    "eval_before.jsonl",
    "evaluations/base.jsonl",
    "evaluations/grpo.jsonl",
    "evaluations/sft.jsonl",
    "metrics.json",
    "metrics.jsonl",
    "result.json",
    "rollouts/grpo-rank0.idx",
    "rollouts/grpo-rank0.jsonl",
    "run_manifest.json",
    "timings.jsonl",
    "usage.json",
)
"""Files of a finished run; of those that each checkpoint has, some are left out."""
ENDS = [(name, 1.0) for name in FINISHED if name.endswith(("jsonl", ".parquet", "sha256"))]
INTERRUPTED = (
    "checkpoints/sft/model.safetensors",
    "evaluations/sft.jsonl",
    "metrics.jsonl",
    "rollouts/grpo-rank0.idx",
    "rollouts/grpo-rank0.jsonl",
    "state/grpo/latest",
    "state/grpo/start.json",
    "state/grpo/step-000002/state.json",
    "state/grpo/step-000004/manifest.json",
    "state/grpo/step-000004/state.json",
    "state/grpo/step-000004/tensors.safetensors",
    "timings.jsonl",
)
"""Files of a run that was killed, as far as they differ from a finished one's."""
SAME = ("checkpoints/*/*", "datasets/*/*", "evaluations/*", "metrics.jsonl", "rollouts/*")
"""What comes out the same each time, bit for bit; times do not."""
MADE = (
    "delta_report.*",
    "eval_*.jsonl",
    "metrics.json",
    "result.json",
    "config.yaml",
    "SHA256SUMS",
)
"""What `clutch report` makes from the rest."""


class Killed(Exception):
    """Stands for the end of the process."""


def train(kill_at: int | None = None) -> list[str]:
    """Run the stages as a worker does, and return its notes."""
    paths = RunPaths(load_config(Path("small.yaml")).config, Path("runs/small").resolve())
    notes: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        if (what, done) == ("train grpo", kill_at):
            raise Killed

    workers = Workers()
    run = Run(paths.folder, 0, workers, lambda row: None, progress, lambda: False, notes.append)
    run_course(paths.course(), run)
    return notes


def files(folder: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """The run's storage is named relative to here, so that a copy is the same run."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder / "runs" / "small"
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    with working_in(tmp_path_factory.mktemp("finished")) as folder:
        Path("small.yaml").write_text(CONFIG)
        config = load_config(Path("small.yaml")).config
        made = build_dataset(config.datasets["sat"], folder / "datasets" / "sat", config.seed)
        write_manifest(folder, build_manifest(config, datasets={"sat": made.dataset_hash}))
        train()
        assert run_command(["run", "small.yaml"]) == 0
    return folder


@pytest.fixture(scope="module")
def interrupted(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, killed after the fifth step of its second stage."""
    with working_in(tmp_path_factory.mktemp("interrupted")) as folder:
        Path("small.yaml").write_text(CONFIG)
        shutil.copytree(finished / "datasets", folder / "datasets")
        for name in ("config.yaml", "config.sha256", "run_manifest.json", "usage.json"):
            shutil.copy(finished / name, folder / name)
        with pytest.raises(Killed):
            train(kill_at=5)
    return folder


@pytest.fixture
def copied(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A copy of the run whose fixture is named, to be spoilt; the current folder is its own."""
    source: Path = request.getfixturevalue(request.param)
    shutil.copytree(source.parents[1], tmp_path, dirs_exist_ok=True)
    with working_in(tmp_path) as folder:
        yield folder


def refused(capsys: pytest.CaptureFixture[str], name: str, *command: str) -> bool:
    """Whether a command refuses; if it does, then in a line that names the file, and code 2."""
    capsys.readouterr()
    code, told = run_command(list(command)), capsys.readouterr().err
    assert "Traceback" not in told
    if code == 0:
        return False
    assert code == 2, told
    assert name in told and len(told.splitlines()) <= 2, told
    return True


def test_the_files_of_a_run_are_all_spoilt_here(finished: Path, interrupted: Path) -> None:
    def kinds(folder: Path) -> set[str]:
        names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return {re.sub(r"checkpoints/\w+/", "checkpoints/*/", name) for name in names}

    listed = {re.sub(r"checkpoints/\w+/", "checkpoints/*/", n) for n in FINISHED + INTERRUPTED}
    assert kinds(finished) <= listed
    assert kinds(interrupted) <= {name.replace("000004", "000002") for name in listed} | listed


@pytest.mark.parametrize(("name", "place"), [*((n, 0.5) for n in FINISHED), *ENDS])
@pytest.mark.parametrize("copied", ["finished"], indirect=True)
def test_a_finished_run_is_reported_from_right_bytes_only(
    copied: Path, finished: Path, name: str, place: float, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(copied / name, place)
    if not refused(capsys, name, "report", "runs/small"):
        assert files(copied, MADE) == files(finished, MADE)


@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.parametrize("copied", ["finished"], indirect=True)
def test_a_finished_run_goes_on_from_right_bytes_only(
    copied: Path, finished: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(copied / name, 0.5)
    if name.startswith(("checkpoints/", "evaluations/")):
        told: list[str] = []
        settle_changes(copied, told.append, evaluates=True)
        told += damaged(copied, ["base", "sft", "grpo"])
        assert len(told) == 1 and name in told[0]
        train()
    if not refused(capsys, name, "run", "small.yaml"):
        assert files(copied, SAME) == files(finished, SAME)
        listed = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=copied)
        assert listed.returncode == 0


@pytest.mark.parametrize("name", INTERRUPTED)
@pytest.mark.parametrize("copied", ["interrupted"], indirect=True)
def test_an_interrupted_run_goes_on_from_right_bytes_only(
    copied: Path, finished: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(copied / name, 0.5)
    assert run_command(["run", "small.yaml", "--dry-run"]) == 0
    told = damaged(copied, ["base", "sft"])
    try:
        told += train()
    except DamageError as error:
        assert name in str(error)
        return
    unread = name.endswith((".idx", "latest")) or "step-000002" in name
    assert unread or name in " ".join(told)
    assert run_command(["run", "small.yaml"]) == 0
    assert files(copied, SAME) == files(finished, SAME)


def test_weights_are_checked_before_they_are_used(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [n.rpartition("/")[2] for n in FINISHED if n.startswith("checkpoints/base/")]
    shutil.copytree(finished / "datasets", tmp_path / "datasets")
    data, checkpoint = tmp_path / "datasets" / "sat", tmp_path / "base"
    answer = ("generate", str(checkpoint), "--prompt", "+1 =", "--max-completion-length", "2")
    measure = ("evaluate", str(checkpoint), "--data", str(data), "--limit", "1")
    for name in names:
        shutil.copytree(finished / "checkpoints" / "base", checkpoint)
        flip(checkpoint / name, 0.5)
        assert refused(capsys, name, *answer)
        assert refused(capsys, name, *measure)
        shutil.rmtree(checkpoint)
    shutil.copytree(finished / "checkpoints" / "base", checkpoint)
    assert run_command(list(answer)) == 0
    (checkpoint / "manifest.json").write_text('{"files": ["model.safetensors"]}')
    assert run_command(list(answer)) == 0, "a manifest of somebody else's"
    for name in ("manifest.json", "test-00000.parquet"):
        content = (data / name).read_bytes()
        flip(data / name, 0.5)
        assert refused(capsys, name, *measure)
        (data / name).write_bytes(content)


def test_evidence_is_that_of_its_run(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate = ("evidence", "validate", str(tmp_path / "metrics.json"))
    whole = (finished / "metrics.json").read_bytes()
    for offset in range(len(whole)):
        shutil.copy(finished / "metrics.json", tmp_path)
        flip(tmp_path / "metrics.json", offset / (len(whole) - 1))
        assert refused(capsys, "metrics.json", *validate), offset
    shutil.copy(finished / "metrics.json", tmp_path)
    assert run_command(list(validate)) == 0
    assert "its bytes are as the run wrote them" in capsys.readouterr().out
    shutil.copy(finished / "run_manifest.json", tmp_path)
    assert run_command(list(validate)) == 0
    flip(tmp_path / "run_manifest.json", 0.5)
    assert refused(capsys, "run_manifest.json", *validate)


def test_a_run_of_an_earlier_version_is_reported_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "old", num_problems=8)
    assert run_command(["report", str(folder)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not covered by hashes" in line
    assert not (folder / "SHA256SUMS").exists()
