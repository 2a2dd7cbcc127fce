"""A command on a terminal of its own, and what a person would see on the screen of it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.command import ROOT, user_environment

DEADLINE_S = 120


class Terminal:
    """The screen of a command whose stderr, and stdout unless it goes elsewhere, is a terminal."""

    def __init__(
        self, command: Sequence[str | Path], columns: int, rows: int = 50,
        stdout: int | None = None, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Start `command`; `stdout` is a file descriptor for its results."""
        self._leader, follower = pty.openpty()
        self.clear(columns, rows)
        modes = termios.tcgetattr(follower)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(follower, termios.TCSANOW, modes)
        variables = {**user_environment(), "TERM": "xterm-256color", **(environment or {})}
        variables.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=follower,
            stdout=follower if stdout is None else stdout,
            stderr=follower,
            env=variables,
            cwd=ROOT,
            start_new_session=True,
        )
        os.close(follower)

    def clear(self, columns: int, rows: int = 50) -> None:
        """Begin with an empty screen of another size."""
        self.columns = columns
        self._screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, line: str = "") -> None:
        """Type a line, which is not echoed."""
        os.write(self._leader, f"{line}\n".encode())

    def lines(self) -> list[str]:
        """What stands on the screen, below what has scrolled away above it."""
        rows = [[row[x].data for x in range(self.columns)] for row in self._screen.history.top]
        above = ["".join(row).rstrip() for row in rows]
        return [*above, *(line.rstrip() for line in self._screen.display)]

    def wait_until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Return the lines as soon as `seen` holds for them."""
        deadline = time.monotonic() + DEADLINE_S
        while not seen(self.lines()):
            assert time.monotonic() < deadline, "\n".join(self.lines())
            assert self._read(), "it has ended:\n" + "\n".join(self.lines())
        return self.lines()

    def end(self) -> list[str]:
        """Return what stands there once the command has ended, which must have ended well."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read():
            assert time.monotonic() < deadline, "\n".join(self.lines())
        lines = self.lines()
        assert self.process.wait(timeout=DEADLINE_S) == 0, "\n".join(lines)
        return lines

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._leader)

    def _read(self) -> bool:
        """Take in what was written meanwhile; False once the other end is closed."""
        if not select.select([self._leader], [], [], 0.1)[0]:
            return True
        try:
            written = os.read(self._leader, 65536)
        except OSError:
            return False  # how Linux says that the other end has closed
        self._stream.feed(written)
        return bool(written)


@contextmanager
def terminal(
    command: Sequence[str | Path], columns: int, *, stdout: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:  # fmt: skip
    """Run a command on a terminal of so many columns for the length of a block."""
    shown = Terminal(command, columns, stdout=stdout, environment=environment)
    try:
        yield shown
    finally:
        shown.close()
