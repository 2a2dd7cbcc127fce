"""A forked child of a server: it gives up every right, runs one program and ends.

Nothing of this runs after a program: the child is gone then, and its server has run nothing of it.
Each page that is written here is copied first, so this does little, with what was made before.
"""

import _socket
import os
import resource
import signal
from collections.abc import Callable
from mmap import mmap
from typing import NamedTuple

from reward_fns.sandbox.program import execute
from reward_fns.sandbox.syscalls import PR_SET_PDEATHSIG, SystemCall

_LAST_DESCRIPTOR = 1 << 20


class Job(NamedTuple):
    """One program to run."""

    wall_s: float
    cpu_s: int
    memory_bytes: int
    output_bytes: int
    program_bytes: int
    descriptors: tuple[int, ...]
    """Of the program, stdin, stdout and stderr."""


class Entry:
    """The way into the guards, made once in the server."""

    def __init__(self, server: int, base_bytes: int, guards: list[SystemCall]) -> None:
        self._server = server
        self._base_bytes = base_bytes
        self._guards = guards
        self._die_with_server = SystemCall("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def enter(self, job: Job) -> None:
        """Leave the server's session and descriptors behind, and take on limits and guards."""
        os.setsid()
        self._die_with_server()
        if os.getppid() != self._server:
            raise OSError("the server is gone")
        _, stdin, stdout, stderr = job.descriptors
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.closerange(3, _LAST_DESCRIPTOR)
        space = self._base_bytes + job.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.output_bytes + 1, job.output_bytes + 1))
        resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_s, job.cpu_s + 1))
        for guard in self._guards:
            guard()


def run_job(job: Job, entry: Entry, guarded: mmap, report: mmap) -> None:
    """Run the program in this process; does not return.

    `guarded` tells the server whether the guards hold. It is given up before the program runs,
    which could otherwise pass for trouble of the sandbox; of `report` it can only spoil its own.
    """
    try:
        source = os.pread(job.descriptors[0], job.program_bytes, 0)
        entry.enter(job)
        guarded[0] = True
        guarded.close()
    except BaseException as error:
        _leave_note(guarded, error)
    report[0], code = execute(source)
    os._exit(code)


def probe_guards(entry: Entry, guarded: mmap) -> None:
    """Enter the guards and tell whether they refuse what they must; does not return."""
    try:
        entry.enter(Job(1.0, 5, 64 << 20, 1 << 20, 0, (0, 0, 0, 0)))
        for name, attempt in FORBIDDEN.items():
            try:
                attempt()
            except PermissionError:
                continue
            raise OSError(f"{name} is not refused")
        guarded[0] = True
        os._exit(0)
    except BaseException as error:
        _leave_note(guarded, error)


def _leave_note(page: mmap, error: BaseException) -> None:
    text = f"{type(error).__name__}: {error}".encode()[:1000]
    page[0] = False
    page[1 : 1 + len(text)] = text
    page[1 + len(text)] = 0
    os._exit(1)


FORBIDDEN: dict[str, Callable[[], object]] = {
    "opening a file": lambda: os.open("/", os.O_RDONLY),
    "writing a file": lambda: os.open("/", os.O_TMPFILE | os.O_WRONLY),
    "looking at a file": lambda: os.stat("/"),
    "a socket": lambda: _socket.socket(_socket.AF_UNIX),
    "a process": os.fork,
    "a signal": lambda: os.kill(os.getppid(), 0),
}
