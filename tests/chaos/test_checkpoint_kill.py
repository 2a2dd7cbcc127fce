"""SIGKILL at every write point of a save, and in the middle of writes: nothing saved is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
pytestmark = pytest.mark.chaos


def drive(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.checkpoint_driver", *arguments],
        cwd=REPO,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kill_before_each_line_of_a_save(tmp_path: Path) -> None:
    cases = ("first_state", "next_state", "same_state", "model_folder")
    outcomes = drive("lines", str(tmp_path), "exchange", *cases)
    # What each line left, in order: every write point was met, and what loads is old or new.
    assert outcomes["first_state"][1:] == [
        " loads None",
        ".tmp-step-000010 loads None",
        "step-000010 loads 10",
        ".tmp-latest step-000010 loads 10",
        "latest step-000010 loads 10",
    ]
    assert outcomes["next_state"][1:] == [
        "latest step-000010 loads 10",
        ".tmp-step-000020 latest step-000010 loads 10",
        "latest step-000010 step-000020 loads 10",
        ".tmp-latest latest step-000010 step-000020 loads 10",
        "latest step-000010 step-000020 loads 20",
        ".tmp-step-000010 latest step-000020 loads 20",
        "latest step-000020 loads 20",
    ]
    assert outcomes["same_state"][1:] == [
        "latest step-000010 loads 10",
        ".tmp-step-000010 latest step-000010 loads 10",
        ".tmp-latest latest step-000010 loads 10",
    ]
    assert outcomes["model_folder"][1:] == [
        "sft holds old",
        ".tmp-sft sft holds old",
        ".tmp-sft sft holds new",
        "sft holds new",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="filters a system call of Linux")
def test_kill_where_folders_cannot_be_exchanged(tmp_path: Path) -> None:
    outcomes = drive("lines", str(tmp_path), "without-exchange", "same_state", "model_folder")
    assert outcomes["same_state"][1:] == [
        "latest step-000010 loads 10",
        ".tmp-step-000010 latest step-000010 loads 10",
        ".old-step-000010 .tmp-step-000010 latest loads 10",
        ".old-step-000010 latest step-000010 loads 10",
        ".tmp-latest latest step-000010 loads 10",
    ]
    assert ".old-sft .tmp-sft holds old" in outcomes["model_folder"]
    assert outcomes["model_folder"][-1] == "sft holds new"


def test_kill_in_the_middle_of_large_writes(tmp_path: Path) -> None:
    assert drive("states", str(tmp_path))["partial"] > 0


def test_kill_while_rollouts_are_logged(tmp_path: Path) -> None:
    assert drive("journals", str(tmp_path))["lines"] > 0
