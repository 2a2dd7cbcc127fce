"""`clutch datagen grpo` whose workers or driver are killed ends in the bytes of one process."""

import json
import signal
import time
from pathlib import Path

import pytest

from datagen.manifest import MANIFEST
from tests.chaos.marked_run import TIMEOUT_S, MarkedRun, marked_run
from tests.command import clutch, succeeded

pytestmark = pytest.mark.chaos
COMMAND = ("datagen", "grpo")
ARGUMENTS = ("-n", "6000", "--seed", "7", "--num-test", "200", "--sat-n", "20", "--json")


def dataset_hash(printed: str) -> str:
    return str(json.loads(printed)["dataset_hash"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("whole") / "data"
    return dataset_hash(succeeded(clutch(*COMMAND, *ARGUMENTS, "--out", folder)))


def start(folder: Path) -> tuple[str | Path, ...]:
    return (*ARGUMENTS, "--workers", "2", "--out", folder)


def await_blocks(run: MarkedRun, folder: Path, count: int) -> int:
    """Return when so many blocks are drawn, and not all of them."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        drawn = len(list(folder.parent.glob(".data.work-*/parts/*.facts")))
        if drawn >= count:
            return drawn
        assert run.process.poll() is None, f"ended before {count} blocks: {run.ended()}"
        assert time.monotonic() < deadline, f"{count} blocks did not come"
        time.sleep(0.01)


def test_workers_that_are_killed_cost_no_row_and_double_none(whole: str, tmp_path: Path) -> None:
    folder, num_killed = tmp_path / "data", 0
    with marked_run(*start(folder), "--validate", command=COMMAND) as run:
        for count in (1, 3):
            await_blocks(run, folder, count)
            for worker in run.processes("ray::"):
                if "IDLE" not in " ".join(worker.cmdline()):
                    worker.send_signal(signal.SIGKILL)
                    num_killed += 1
        code, printed, told = run.ended()
    assert code == 0, told
    assert num_killed >= 2
    assert dataset_hash(printed) == whole
    assert "certified: " in told


def test_a_driver_that_is_killed_and_terminated_ends_in_the_same_bytes(
    whole: str, tmp_path: Path
) -> None:
    folder, drawn = tmp_path / "data", 0
    for sent in (signal.SIGKILL, signal.SIGTERM):
        with marked_run(*start(folder), command=COMMAND) as run:
            drawn = await_blocks(run, folder, drawn + 1)
            run.process.send_signal(sent)
            if sent == signal.SIGTERM:
                code, printed, told = run.ended()
                assert (code, printed) == (143, "")
                assert told.splitlines()[-1].startswith("terminated: the same command goes on")
                assert "Traceback" not in told
        assert not (folder / MANIFEST).exists()
    plan = succeeded(clutch(*COMMAND, *start(folder), "--dry-run"))
    assert "blocks are drawn already" in plan
    with marked_run(*start(folder), command=COMMAND) as run:
        code, printed, told = run.ended()
    assert code == 0, told
    assert dataset_hash(printed) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert dataset_hash(succeeded(clutch(*COMMAND, *start(folder)))) == whole
