"""The client's end of one server: starts it, gives it jobs, and reads what came of them."""

import array
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from reward_fns.sandbox import wire
from reward_fns.sandbox.launch import start_server
from reward_fns.sandbox.layers import Layers
from reward_fns.sandbox.limits import Limits, Result, SandboxError, Status
from reward_fns.sandbox.requests import Request

START_S = 60.0
"""How long a server may take to start, on a machine that is busy."""
GRACE_S = 10.0
"""How long after a program's time its server may take to answer."""
_STOP_S = 2.0
_NEAR_LIMIT, _MUCH_OF_LIMIT = 0.8, 0.5


class ServerFailed(SandboxError):
    """This server is of no use any more; another one may do."""


class ServerRefused(SandboxError):
    """No server on this machine can guard programs."""


class Outcome(NamedTuple):
    """A record of a server, as `wire.RECORD` says."""

    stage: int
    killed: int
    status: int
    user_s: float
    system_s: float
    wall_s: float
    peak_bytes: int
    num_stdout: int
    num_stderr: int


@dataclass
class Job:
    """Runs of one program, and the files through which a server gets and answers them."""

    places: list[int]
    """Of the runs, in the batch."""
    requests: list[Request]
    files: list[int] = field(default_factory=list)
    num_bytes: int = 0
    """Of the results that were there when they were last looked at."""


class Connection:
    """One server, from its start to its end; does one job after another."""

    def __init__(self, layers: Layers, unsafe: bool) -> None:
        self._unsafe = unsafe
        try:
            self._process, self.socket = start_server(layers, unsafe)
        except OSError as error:
            raise ServerFailed(f"a server cannot be started: {error}") from error
        self._ready = False
        self.jobs: deque[Job] = deque()
        """What the server does, and what waits there."""
        self._end = time.monotonic() + START_S

    def wait_until_ready(self) -> None:
        """Wait for the server's word that its guards hold."""
        while not self._ready:
            self._receive(max(self._end - time.monotonic(), 0.0))
            if time.monotonic() > self._end:
                raise ServerFailed(f"the server did not start within {START_S:.0f} s")

    def send(self, job: Job) -> None:
        """Give the server a job; also one that has only just been started takes it."""
        limits = job.requests[0].limits
        sizes = limits.memory_bytes, limits.output_bytes, len(job.requests)
        self.jobs.append(job)
        try:
            for content in (_content(job.requests), b""):
                job.files.append(_memory_file(content))
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", job.files))]
            self.socket.settimeout(GRACE_S)
            self.socket.sendmsg([wire.JOB.pack(limits.wall_s, limits.cpu_s, *sizes)], passed)
        except OSError as error:
            raise ServerFailed(f"the server took no job: {error}") from error
        if self._ready and len(self.jobs) == 1:
            self._end = time.monotonic() + self._most_s

    @property
    def _most_s(self) -> float:
        """How long a run may take with its compilation, in both nurseries, and a little more."""
        return 4 * self.jobs[0].requests[0].limits.wall_s + GRACE_S if self.jobs else GRACE_S

    def end(self) -> float:
        """Return until when the server must have gone on, by time.monotonic()."""
        if self._ready and self.jobs and time.monotonic() >= self._end:
            num_bytes = os.fstat(self.jobs[0].files[1]).st_size
            if num_bytes > self.jobs[0].num_bytes:
                self.jobs[0].num_bytes = num_bytes
                self._end = time.monotonic() + self._most_s
        return self._end

    def take_answer(self) -> bool:
        """Whether the first job is done, which `take_job` then returns with its results."""
        answer = self._receive(0.0)
        if answer[:1] == wire.TROUBLE:
            raise ServerFailed(answer[1:].decode(errors="replace"))
        return answer[:1] == wire.REPLY

    def take_job(self) -> tuple[Job, list[Result | None]]:
        """Return the first job, and what came of its runs as far as they were made.

        None: somebody else ended the run, which tells nothing about the program.
        """
        job = self.jobs.popleft()
        if len(job.files) < 2:
            _close(job.files)
            return job, []
        content = os.pread(job.files[1], os.fstat(job.files[1]).st_size, 0)
        _close(job.files)
        job.files = []
        self._end = time.monotonic() + self._most_s
        results: list[Result | None] = []
        for request in job.requests:
            record, content = content[: wire.RECORD.size], content[wire.RECORD.size :]
            if len(record) < wire.RECORD.size:
                break
            outcome = Outcome(*wire.RECORD.unpack(record))
            num_bytes = outcome.num_stdout + outcome.num_stderr
            written, content = content[:num_bytes], content[num_bytes:]
            if len(written) < num_bytes:
                break
            results.append(self._result(outcome, written, request.limits))
        return job, results

    def _receive(self, wait_s: float) -> bytes:
        """Return the next message, or nothing where none comes in time."""
        self.socket.settimeout(wait_s)
        try:
            packet = self.socket.recv(wire.PACKET_BYTES)
        except (TimeoutError, BlockingIOError):
            return b""
        except OSError as error:
            raise ServerFailed(f"the server is gone: {error}") from error
        if not packet:
            raise ServerFailed("the server ended")
        if packet[:1] == wire.REFUSED:
            raise ServerRefused(packet[1:].decode(errors="replace"))
        if not self._ready:
            self._ready = True
            self._end = time.monotonic() + self._most_s
        return packet

    def _result(self, outcome: Outcome, written: bytes, limits: Limits) -> Result | None:
        stdout, stderr = written[: outcome.num_stdout], written[outcome.num_stdout :]
        code = os.waitstatus_to_exitcode(outcome.status)
        cpu_s = outcome.user_s + outcome.system_s
        verdict: Status | None
        if max(len(stdout), len(stderr)) > limits.output_bytes or code == -signal.SIGXFSZ:
            verdict = "output"
        elif outcome.stage == wire.OUT_OF_MEMORY:
            verdict = "memory"
        elif outcome.killed:
            verdict = "timeout"
        elif code < 0:
            verdict = _verdict_on_signal(-code, cpu_s, outcome.peak_bytes, limits)
        else:
            verdict = "ok" if outcome.stage == wire.FINISHED and code == 0 else "error"
        if verdict is None and not self._unsafe:
            return None
        return Result(
            status=verdict or "error",
            stdout=stdout[: limits.output_bytes],
            stderr=stderr[: limits.output_bytes],
            exit_code=code,
            cpu_s=cpu_s,
            wall_s=outcome.wall_s,
            peak_bytes=outcome.peak_bytes,
        )

    def hang_up(self) -> None:
        """Tell the server to end, which it does at once, whatever it runs."""
        for job in self.jobs:
            _close(job.files)
        self.jobs.clear()
        self.socket.close()

    def kill(self) -> None:
        """End the server from any thread; who waits for its answer then gets ServerFailed."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # bwrap and what it wraps

    def close(self) -> None:
        """End the server and everything that it runs, and wait until it is gone."""
        self.hang_up()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def forget(self) -> None:
        """Let go of a server that belongs to the process that this one was forked from."""
        self.hang_up()
        self._process.returncode = 0  # not our child: nothing to wait for, nothing to warn of


def _verdict_on_signal(number: int, cpu_s: float, peak_bytes: int, limits: Limits) -> Status | None:
    """Read why a signal ended a program that nobody here sent; None: it came from outside.

    Under the guards a program cannot send itself the signals that are read as such.
    """
    if number == signal.SIGXCPU:
        return "timeout"
    if number == signal.SIGKILL:
        if cpu_s >= _MUCH_OF_LIMIT * limits.cpu_s:  # the kernel's two clocks differ
            return "timeout"
        # Where the machine's own memory ends, the kernel ends programs first.
        return "memory" if peak_bytes >= _MUCH_OF_LIMIT * limits.memory_bytes else None
    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return None
    return "memory" if peak_bytes >= _NEAR_LIMIT * limits.memory_bytes else "error"


def _content(requests: Sequence[Request]) -> bytes:
    """A job's file: where each piece begins and the last one ends, and the pieces."""
    pieces = [requests[0].program, *(request.stdin for request in requests)]
    start = (len(pieces) + 1) * wire.PLACE.size
    places = accumulate(map(len, pieces), initial=start)
    return b"".join([*(wire.PLACE.pack(place) for place in places), *pieces])


def _memory_file(content: bytes) -> int:
    file = os.memfd_create("", os.MFD_CLOEXEC)
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(file, memoryview(content)[written:], written)
    except BaseException:
        os.close(file)
        raise
    return file


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)
