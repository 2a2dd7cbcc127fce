"""The client's end of one server: starts it, gives it jobs, and reads what came of them."""

import array
import os
import signal
import socket
import subprocess
import time

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


class Connection:
    """One server, from its start to its end; serves one request at a time."""

    def __init__(self, layers: Layers, unsafe: bool) -> None:
        self._unsafe = unsafe
        try:
            self._process, self.socket = start_server(layers, unsafe)
        except OSError as error:
            raise ServerFailed(f"a server cannot be started: {error}") from error
        self._ready = False
        self._request: Request | None = None
        self._outputs: list[int] = []
        self.end = time.monotonic() + START_S
        """When the next answer must be here, by time.monotonic()."""

    def wait_until_ready(self) -> None:
        """Wait for the server's word that its guards hold."""
        while not self._ready:
            self._receive(max(self.end - time.monotonic(), 0.0))
            if time.monotonic() > self.end:
                raise ServerFailed(f"the server did not start within {START_S:.0f} s")

    def send(self, request: Request, wall_s: float) -> None:
        """Give the server a request; also one that has only just been started takes it."""
        assert self._request is None, "a server serves one request at a time"
        limits = request.limits
        sizes = (limits.cpu_s, limits.memory_bytes, limits.output_bytes, len(request.program))
        files: list[int] = []
        try:
            for content in (request.program, request.stdin, b"", b""):
                files.append(_memory_file(content))
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
            self.socket.settimeout(GRACE_S)
            self.socket.sendmsg([wire.JOB.pack(wall_s, *sizes)], passed)
        except OSError as error:
            _close(files)
            raise ServerFailed(f"the server took no job: {error}") from error
        _close(files[:2])
        self._request, self._outputs = request, files[2:]
        self.end = wall_s + GRACE_S + (time.monotonic() if self._ready else self.end)

    def take_answer(self) -> Result | None:
        """Return the answer to the request, or None where it is not here yet."""
        answer = self._receive(0.0)
        if answer[:1] == wire.TROUBLE:
            raise ServerFailed(answer[1:].decode(errors="replace"))
        return self._result(answer[1:]) if answer[:1] == wire.REPLY else None

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
        self._ready = True
        return packet

    def _result(self, data: bytes) -> Result:
        assert self._request is not None
        stage, killed, status, user_s, system_s, wall_s, peak_bytes = wire.OUTCOME.unpack(data)
        limits = self._request.limits
        largest = max(os.fstat(file).st_size for file in self._outputs)
        stdout, stderr = (os.pread(file, limits.output_bytes, 0) for file in self._outputs)
        self._drop_request()
        code, cpu_s = os.waitstatus_to_exitcode(status), user_s + system_s
        verdict: Status | None
        if largest > limits.output_bytes or code == -signal.SIGXFSZ:
            verdict = "output"
        elif stage == wire.OUT_OF_MEMORY:
            verdict = "memory"
        elif killed:
            verdict = "timeout"
        elif code < 0:
            verdict = _verdict_on_signal(-code, cpu_s, peak_bytes, limits)
        else:
            verdict = "ok" if stage == wire.FINISHED and code == 0 else "error"
        if verdict is None and not self._unsafe:
            raise ServerFailed(f"signal {-code} from outside ended the program")
        return Result(verdict or "error", stdout, stderr, code, cpu_s, wall_s, peak_bytes)

    def _drop_request(self) -> None:
        _close(self._outputs)
        self._request, self._outputs = None, []

    def hang_up(self) -> None:
        """Tell the server to end, which it does at once, whatever it runs."""
        self._drop_request()
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
