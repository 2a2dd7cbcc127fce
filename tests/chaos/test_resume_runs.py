"""Whole runs that are killed, interrupted or lose a worker end in the bits of one that was not."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.chaos.marked_run import differences, marked_run, rows
from tests.command import clutch, succeeded
from tests.small_quickstart import QUICKSTART, small_overrides
from trainers.checkpoint import load_state

pytestmark = pytest.mark.chaos
SLOWER = (
    "stages.sft.logging_steps=3",
    "stages.sft.save_steps=8",
    "stages.grpo.max_steps=24",
    "stages.grpo.generation_batch_size=128",
    "stages.grpo.logging_steps=2",
    "stages.grpo.save_steps=5",
    "tracking.type=none",
)


def arguments(storage: Path, num_workers: int, *more: str) -> list[str | Path]:
    sets = small_overrides(storage, *SLOWER, f"resources.num_workers={num_workers}", *more)
    return [QUICKSTART, *(f"--set={text}" for text in sets)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("whole")
    succeeded(clutch("run", *arguments(storage, 0)))
    return storage / "quickstart"


def test_killed_again_and_again_it_ends_in_the_same_bits(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    for stage, step in (("sft", 3), ("sft", 15), ("grpo", 2), ("grpo", 12)):
        with marked_run(*arguments(tmp_path, 0)) as run:
            run.wait_for(folder, stage, step)
            run.kill_all()
        assert not (folder / "result.json").exists()
        assert not run.processes()
    with marked_run(*arguments(tmp_path, 0)) as run:
        run.wait_for(folder, "grpo", 16)
        code, told = run.stop(signal.SIGINT)
    assert code == 130
    assert told.splitlines()[-1].startswith("interrupted: the same command goes on")
    assert "Traceback" not in told
    stopped = load_state(folder / "state" / "grpo")
    assert stopped is not None and stopped.step >= 16
    assert rows(folder)[-1] == ("grpo", stopped.step - stopped.step % 2)
    plan = succeeded(clutch("run", *arguments(tmp_path, 0), "--dry-run"))
    assert "resume" in plan and f"from {stopped.path.name}" in plan
    succeeded(clutch("run", *arguments(tmp_path, 0)))
    assert differences(folder, whole) == []


def test_two_workers_killed_together_terminated_and_one_alone(tmp_path: Path) -> None:
    succeeded(clutch("run", *arguments(tmp_path / "whole", 2)))
    folder = tmp_path / "killed" / "quickstart"
    with marked_run(*arguments(tmp_path / "killed", 2)) as run:
        run.wait_for(folder, "sft", 12)
        run.kill_all()
    with marked_run(*arguments(tmp_path / "killed", 2, "tracking={type: mlflow}")) as run:
        run.wait_for(folder, "grpo", 4)
        code, told = run.stop(signal.SIGTERM)
    assert code == 143
    assert told.splitlines()[-1].startswith("terminated: the same command goes on")
    assert "status=stopped" in told and "Traceback" not in told
    stopped = load_state(folder / "state" / "grpo")
    assert stopped is not None and stopped.step >= 4
    client = MlflowClient(f"sqlite:///{tmp_path}/killed/mlflow.db")
    (tracked,) = client.search_runs([client.get_experiment_by_name("clutch").experiment_id])
    assert tracked.info.status == "KILLED"
    with marked_run(*arguments(tmp_path / "killed", 2)) as run:
        run.wait_for(folder, "grpo", 10)
        workers = run.processes("RayTrainWorker")
        assert len(workers) == 2
        workers[1].kill()
        code, printed, told = run.ended()
    assert code == 0, told
    assert "| grpo " in printed
    assert differences(folder, tmp_path / "whole" / "quickstart") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_costs_nothing_that_was_saved(
    whole: Path, small_disk: Path
) -> None:
    folder, filler = small_disk / "quickstart", small_disk / "filler"
    with marked_run(*arguments(small_disk, 1)) as run:
        run.wait_for(folder, "sft", 9)
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        code, _, told = run.ended()
    assert code == 1
    (line,) = [line for line in told.splitlines() if line.startswith("clutch: ")]
    assert "No space left on device: free some space and run again" in line
    assert "Traceback" not in told
    state = load_state(folder / "state" / "sft")
    assert state is not None and state.step in (8, 16, 24)
    assert [path.name for path in folder.rglob("*") if ".partial" in path.name] == []
    assert [path.name for path in folder.glob("*.json.*")] == []
    filler.unlink()
    succeeded(clutch("run", *arguments(small_disk, 1)))
    assert differences(folder, whole) == []
