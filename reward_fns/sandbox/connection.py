"""The client's end of one server: gives it a job, and reads what came of it."""

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
_NEAR_LIMIT = 0.8


class ServerFailed(SandboxError):
    """This server is of no use any more; another one may do."""


class ServerRefused(SandboxError):
    """No server on this machine can guard programs."""


class Connection:
    """One server, from its start to its end; serves one request at a time."""

    def __init__(self, layers: Layers, unsafe: bool) -> None:
        self._unsafe = unsafe
        self._process, self.socket = start_server(layers, unsafe)
        self._ready = False
        self._started = time.monotonic()
        self._request: Request | None = None
        self._outputs: tuple[int, int] | None = None
        self._end = 0.0

    def wait_until_ready(self) -> None:
        """Wait for the server's word that its guards hold."""
        while not self._ready:
            self._receive(self._started + START_S)

    def send(self, request: Request, wall_s: float) -> None:
        """Give the server a request; its answer is read by `receive`."""
        assert self._outputs is None, "a server serves one request at a time"
        descriptors: list[int] = []
        try:
            for content in (request.program, request.stdin, b"", b""):
                descriptors.append(_memory_file(content))
            limits = request.limits
            packet = wire.JOB.pack(
                wall_s,
                limits.cpu_s,
                limits.memory_bytes,
                limits.output_bytes,
                len(request.program),
            )
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            self.socket.sendmsg([packet], passed)
        except OSError as error:
            _close(descriptors)
            raise ServerFailed(f"the server took no job: {error}") from error
        _close(descriptors[:2])
        self._request, self._outputs = request, (descriptors[2], descriptors[3])
        start = time.monotonic() if self._ready else self._started + START_S
        self._end = start + wall_s + GRACE_S

    @property
    def end(self) -> float:
        """When the answer must be here, by time.monotonic()."""
        return self._end

    def receive(self, until: float | None = None) -> Result | None:
        """Return the answer, or None where it is not here by `until`."""
        while True:
            answer = self._receive(self._end if until is None else until, until is not None)
            if answer is None:
                return None
            if answer[:1] == wire.REPLY:
                return self._result(answer[1:])
            if answer[:1] == wire.TROUBLE:
                self._drop_outputs()
                raise ServerFailed(answer[1:].decode(errors="replace"))

    def _receive(self, until: float, may_be_late: bool = False) -> bytes | None:
        self.socket.settimeout(max(until - time.monotonic(), 1e-4))
        try:
            packet = self.socket.recv(wire.PACKET_BYTES)
        except TimeoutError:
            if may_be_late:
                return None
            raise ServerFailed("the server does not answer") from None
        except OSError as error:
            raise ServerFailed(f"the server is gone: {error}") from error
        if not packet:
            raise ServerFailed("the server ended")
        if packet[:1] == wire.REFUSED:
            raise ServerRefused(packet[1:].decode(errors="replace"))
        if packet[:1] == wire.READY:
            self._ready = True
        return packet

    def _result(self, data: bytes) -> Result:
        stage, killed, status, user_s, system_s, wall_s, peak_bytes = wire.OUTCOME.unpack(data)
        assert self._request is not None and self._outputs is not None
        limits = self._request.limits
        size = max(os.fstat(output).st_size for output in self._outputs)
        stdout, stderr = (os.pread(fd, limits.output_bytes, 0) for fd in self._outputs)
        self._drop_outputs()
        code = os.waitstatus_to_exitcode(status)
        verdict = _status(stage, bool(killed), code, size, peak_bytes, user_s + system_s, limits)
        if verdict is None and not self._unsafe:
            raise ServerFailed(f"signal {-code} from outside ended the program")
        return Result(
            verdict or "error", stdout, stderr, code, user_s + system_s, wall_s, peak_bytes
        )

    def _drop_outputs(self) -> None:
        if self._outputs is not None:
            _close(list(self._outputs))
        self._request = self._outputs = None

    def hang_up(self) -> None:
        """Tell the server to end, which it does at once, whatever it runs."""
        self._drop_outputs()
        self.socket.close()

    def kill(self) -> None:
        """End the server from any thread; who waits for its answer then gets ServerFailed."""
        self._process.kill()

    def close(self, patience_s: float = _STOP_S) -> None:
        """End the server and everything that it runs, and wait until it is gone."""
        self.hang_up()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Let go of a server that belongs to the process that this one was forked from."""
        self._drop_outputs()
        self.socket.close()
        self._process.returncode = 0  # not our child: nothing to wait for, nothing to warn of


def _status(
    stage: int, killed: bool, code: int, size: int, peak: int, cpu_s: float, limits: Limits
) -> Status | None:
    """Read what came of a program; None where a signal ended it that nobody here sent."""
    if size > limits.output_bytes or code == -signal.SIGXFSZ:
        return "output"
    if stage == wire.OUT_OF_MEMORY:
        return "memory"
    if killed or code == -signal.SIGXCPU:
        return "timeout"
    if code == -signal.SIGKILL:
        return "timeout" if cpu_s >= limits.cpu_s else None
    if code in (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
        return None
    if code < 0 and peak >= _NEAR_LIMIT * limits.memory_bytes:
        return "memory"
    return "ok" if stage == wire.FINISHED and code == 0 else "error"


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        if content:
            os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
