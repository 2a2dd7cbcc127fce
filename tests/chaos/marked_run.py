"""A real `python -m orchestrator run` whose processes can all be found, watched and killed."""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.command import ROOT, user_environment

MARK = "CLUTCH_TEST_MARK"
POLL_S = 0.01
TIMEOUT_S = 240.0


class MarkedRun:
    """One session of a run. Every process that it starts inherits a mark in its environment."""

    def __init__(
        self, *arguments: str | Path, command: Sequence[str] = ("run",), **environment: str
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *command, *map(str, arguments)],
            cwd=ROOT,
            env=user_environment(**{MARK: self.mark}, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Every living process of the session whose command line holds `name`."""
        return marked_processes(self.mark, name)

    def wait_for(self, folder: Path, stage: str, step: int) -> None:
        """Return when metrics.jsonl has a row of `step` or later of `stage`."""
        deadline = time.monotonic() + TIMEOUT_S
        while not any(found == stage and at >= step for found, at in rows(folder)):
            assert self.process.poll() is None, f"ended before {stage} {step}: {self.ended()}"
            assert time.monotonic() < deadline, f"{stage} {step} did not come"
            time.sleep(POLL_S)

    def kill_all(self) -> None:
        """SIGKILL driver, Ray and workers."""
        while processes := self.processes():
            for process in processes:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            time.sleep(POLL_S)
        self.process.communicate(timeout=60)

    def stop(self, sent: signal.Signals) -> tuple[int, str]:
        """Signal the driver and wait until all is ended; return exit code and stderr."""
        self.process.send_signal(sent)
        code, _, told = self.ended()
        deadline = time.monotonic() + 20
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert self.processes() == []
        return code, told

    def ended(self) -> tuple[int, str, str]:
        """Wait for the end; return exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, err


def marked_processes(mark: str, name: str = "") -> list[psutil.Process]:
    """Every living process with this mark whose command line holds `name`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) == mark and name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def marked_run(
    *arguments: str | Path, command: Sequence[str] = ("run",), **environment: str
) -> Iterator[MarkedRun]:
    """Start a session; whatever becomes of it, none of its processes is left."""
    run = MarkedRun(*arguments, command=command, **environment)
    try:
        yield run
    finally:
        run.kill_all()


def rows(folder: Path) -> list[tuple[str, int]]:
    """(stage, step) of every whole row of metrics.jsonl."""
    try:
        content = (folder / "metrics.jsonl").read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    parsed: list[dict[str, Any]] = [json.loads(line) for line in whole]
    return [(row["stage"], row["step"]) for row in parsed]


def outcome(folder: Path) -> dict[str, bytes]:
    """Everything that must come out the same, bit for bit."""
    patterns = ("metrics.jsonl", "rollouts/*", "evaluations/*", "checkpoints/*/model.safetensors")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    }


def differences(folder: Path, other: Path) -> list[str]:
    """Names of the files that are not the same in both."""
    mine, others = outcome(folder), outcome(other)
    assert len(mine) >= 8
    return [name for name in mine | others if mine.get(name) != others.get(name)]
