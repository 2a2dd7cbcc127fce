"""A forked child of a server: it gives up every right, runs one program and ends.

Nothing of this runs after a program: the child is gone then, and its server has run nothing of it.
"""

import mmap
import os
import random
import resource
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from reward_fns.sandbox import wire
from reward_fns.sandbox.landlock import restrict_self
from reward_fns.sandbox.program import execute
from reward_fns.sandbox.seccomp import Filter
from reward_fns.sandbox.syscalls import PR_SET_PDEATHSIG, call, prctl


@dataclass(frozen=True, slots=True)
class Guards:
    """What a child puts itself under; all None in unsafe mode."""

    landlock: int | None = None
    ruleset: int | None = None
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One program to run."""

    wall_s: float
    cpu_s: int
    memory_bytes: int
    output_bytes: int
    program_bytes: int
    descriptors: tuple[int, int, int, int]


def run_job(job: Job, guards: Guards, base_bytes: int, report: mmap.mmap, server: int) -> None:
    """Run the program in this process; does not return."""
    try:
        source = os.pread(job.descriptors[0], job.program_bytes, 0)
        enter(job, guards, base_bytes, server)
    except BaseException as error:
        report[0] = wire.NOT_GUARDED
        _note(report, error)
        os._exit(1)
    report[0] = wire.STARTED
    stage, code = execute(source)
    report[0] = stage
    os._exit(code)


def _note(report: mmap.mmap, error: BaseException) -> None:
    text = f"{type(error).__name__}: {error}".encode()[:1000]
    report[1 : 3 + len(text)] = struct.pack("<H", len(text)) + text


def enter(job: Job, guards: Guards, base_bytes: int, server: int) -> None:
    """Leave the server's session and descriptors behind, and take on limits and guards."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        raise OSError("the server is gone")
    for number, descriptor in enumerate(job.descriptors[1:]):
        os.dup2(descriptor, number)
    for limit, value in (
        (resource.RLIMIT_AS, base_bytes + job.memory_bytes),
        (resource.RLIMIT_FSIZE, job.output_bytes + 1),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_s, job.cpu_s + 1))
    if guards.landlock is not None and guards.ruleset is not None:
        restrict_self(guards.landlock, guards.ruleset)
    call("close_range", 3, 0x7FFFFFFF, 0)
    random.seed(0)
    if guards.filter is not None:
        guards.filter.install()


def probe_guards(guards: Guards, report: mmap.mmap, server: int) -> None:
    """Enter the guards and report whether they refuse what they must; does not return."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        job = Job(1.0, 5, 64 << 20, 1 << 20, 0, (nothing, nothing, nothing, nothing))
        enter(job, guards, 1 << 30, server)
        for name, attempt in _FORBIDDEN.items():
            try:
                attempt()
            except PermissionError:
                continue
            raise OSError(f"{name} is not refused")
        report[0] = wire.GUARDED
    except BaseException as error:
        _note(report, error)
    os._exit(0)


_FORBIDDEN: dict[str, Callable[[], object]] = {
    "opening a file": lambda: os.open("/proc/self/maps", os.O_RDONLY),
    "writing a file": lambda: os.open("/tmp", os.O_TMPFILE | os.O_WRONLY),
    "looking at a file": lambda: os.stat("/"),
    "a socket": lambda: socket.socket(socket.AF_UNIX),
    "a process": os.fork,
    "a signal": lambda: os.kill(os.getppid(), 0),
}
