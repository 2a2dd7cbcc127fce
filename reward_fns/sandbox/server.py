"""A server: compiles and runs programs in processes of their own, and touches no program itself.

It is started by `launch.py` as `python -s -P -S -c …` with an empty environment and its socket as
stdin. It ends when that socket closes, or when the process that started it ends; its processes end
with it. They are forked by nurseries (see `nursery.py`), but are the server's own children: it
alone ends them and says what became of them.
"""

import _socket
import os
import select
import signal
import struct
from array import array
from collections.abc import Sequence
from itertools import pairwise
from time import monotonic
from typing import Any

from reward_fns.sandbox import wire
from reward_fns.sandbox.nursery import AWAKE, COMPILED, FAILED, GUARDED, PROBE, refuse
from reward_fns.sandbox.orphans import reap_orphans
from reward_fns.sandbox.syscalls import call

_ORDER = struct.Struct("<QQQQ")
_CREDENTIALS = struct.Struct("<iII")
_CREDENTIALS_SPACE = _socket.CMSG_SPACE(_CREDENTIALS.size)
_TWO_DESCRIPTORS = struct.Struct("2i")
_DESCRIPTORS_SPACE = _socket.CMSG_SPACE(_TWO_DESCRIPTORS.size)
_NOTE_BYTES, _SIGNAL_BYTES, _PAGE_BYTES = 2048, 2048, 4096
_START_S = 50.0

Usage = tuple[int, float, float, int]
"""How a process ended: its wait status, user and system seconds, and its peak memory in bytes."""


class Trouble(Exception):
    """The server cannot go on; says nothing about the program."""


class Refusal(Trouble):
    """A process cannot take on its guards here."""


class Job:
    """A program, the limits of its runs, and their inputs."""

    def __init__(self, packet: bytes, source: int, results: int) -> None:
        values = wire.JOB.unpack(packet)
        self.wall_s, self.cpu_s, self.memory_bytes, self.output_bytes, num_runs = values
        content = os.pread(source, os.fstat(source).st_size, 0)
        table = content[: wire.PLACE.size * (num_runs + 2)]
        places = [place for (place,) in wire.PLACE.iter_unpack(table)]
        pieces = [content[start:end] for start, end in pairwise(places)]
        self.program, self.inputs = pieces[0], pieces[1:]
        self.failed: dict[bool, bytes] = {}
        """The records of compilations that were ended, in a bare nursery or in the library's."""
        self._results, self._end = results, 0

    def add(self, record: bytes, *written: bytes) -> None:
        """Append what came of the next run to the results."""
        left = b"".join((record, *written))
        while left:
            num_bytes = os.pwrite(self._results, left, self._end)
            self._end, left = self._end + num_bytes, left[num_bytes:]


class Process:
    """A process that forks on messages: a nursery, or the template of a program."""

    def __init__(self, link: _socket.socket, pid: int = 0, made_for: object = None) -> None:
        self.link, self.pid, self.made_for = link, pid, made_for
        link.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)

    def order(self, numbers: tuple[int, int, int, int], files: Sequence[int]) -> None:
        """Let it fork a process that finds these numbers (see `nursery.Order`) and files."""
        passed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", files))] if files else []
        self.link.sendmsg([_ORDER.pack(*numbers)], passed)

    def hear(self) -> tuple[bytes, int] | None:
        """Return a message and the process that sent it; None: there is none now.

        An empty message means that the process has ended.
        """
        try:
            told, extra, _, _ = self.link.recvmsg(
                _NOTE_BYTES, _CREDENTIALS_SPACE, _socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return None
        if told[:1] == FAILED:
            raise Refusal(told[1:].decode(errors="replace"))
        return told, _CREDENTIALS.unpack(extra[0][2])[0] if extra else 0


class Server:
    """The loop, and what is made once for all jobs."""

    def __init__(self, link: int, unsafe: bool, nurseries: dict[bool, tuple[int, int]]) -> None:
        self._link, self._unsafe = _socket.socket(fileno=link), unsafe
        parent = os.getppid()
        self._parent = os.pidfd_open(parent) if parent else -1
        self._nurseries = {
            library: Process(_socket.socket(fileno=other), pid)
            for library, (pid, other) in nurseries.items()
        }
        self._awake: set[bool] = set()
        self._templates: dict[bool, Process] = {}
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        mask = struct.pack("<Q", 1 << (signal.SIGCHLD - 1))
        flags = os.O_CLOEXEC | os.O_NONBLOCK
        self._ends = call("signalfd4", (1 << 64) - 1, mask, len(mask), flags)
        self._poll = select.poll()
        self._poll.register(self._link, 0)  # hung up: nobody wants the answer any more
        if self._parent >= 0:
            self._poll.register(self._parent, select.POLLIN)
        self._wake(library=False)

    def serve(self) -> None:
        """Answer jobs one after the other, until nobody is there to give any."""
        waiting = select.poll()
        waiting.register(self._link, select.POLLIN)
        if self._parent >= 0:
            waiting.register(self._parent, select.POLLIN)
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor == self._parent:
                    return
            data, extra, _, _ = self._link.recvmsg(wire.PACKET_BYTES, _DESCRIPTORS_SPACE)
            if len(data) != wire.JOB.size:
                return
            files = _TWO_DESCRIPTORS.unpack(extra[0][2])
            try:
                self._do(Job(data, *files))
                answer = wire.REPLY
            except (OSError, Trouble) as error:
                answer = wire.TROUBLE + str(error).encode()[:_NOTE_BYTES]
            for descriptor in files:
                os.close(descriptor)
            self._link.send(answer)

    def _do(self, job: Job) -> None:
        library = self._unsafe or b"import" in job.program
        for stdin in job.inputs:
            if not self._run(job, stdin, library):
                self._run(job, stdin, library=True)

    def _run(self, job: Job, stdin: bytes, library: bool) -> bool:
        """Make one run and add what came of it; False: it needs the library, and told nothing."""
        template = self._template(job, library)
        if template is None:
            job.add(job.failed[library])
            return True
        files = [_memory_file(content) for content in (stdin, b"", b"", bytes(_PAGE_BYTES))]
        try:
            start = monotonic()
            template.order((job.cpu_s, job.memory_bytes, job.output_bytes, 0), files)
            usage, killed = self._wait_for_run(template, start + job.wall_s)
            wall_s = monotonic() - start
            stage = os.pread(files[3], 1, 0)[0]
            if stage == wire.NEEDS_LIBRARY and not library:
                return False
            written = [os.pread(file, job.output_bytes + 1, 0) for file in files[1:3]]
            job.add(_record(stage, killed, usage, wall_s, *map(len, written)), *written)
        finally:
            for file in files:
                os.close(file)
        return True

    def _wait_for_run(self, template: Process, end: float) -> tuple[Usage, bool]:
        """Wait until the run ends, or end it; returns how it ended, and whether it was killed."""
        pid = 0
        ended: dict[int, Usage] = {}
        while (left := end - monotonic()) > 0:
            self._wait(self._ends, left)
            ended |= self._reap()
            if not ended:
                continue
            pid = pid or self._guarded(template)
            if pid in ended:
                return self._cleaned(ended[pid]), False
            if not (pid or self._unsafe):
                raise Trouble("a process ended before it had its guards")
        pid = pid or self._guarded(template)
        if not pid:
            raise Trouble("a process was not ready in time")
        os.kill(pid, signal.SIGKILL)
        usage = _usage(*os.wait4(pid, 0)[1:])
        return self._cleaned(usage), os.waitstatus_to_exitcode(usage[0]) == -signal.SIGKILL

    def _guarded(self, template: Process) -> int:
        """Return the run that has told that it has its guards; 0: none has."""
        heard = template.hear()
        return heard[1] if heard is not None and heard[0] == GUARDED else 0

    def _reap(self) -> dict[int, Usage]:
        """Return the processes that have ended; Trouble where one of our own is among them."""
        ended = {}
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if not pid:
                break
            ended[pid] = _usage(status, used)
        if not self._own.isdisjoint(ended):
            raise Trouble("a process of the sandbox was ended from outside")
        return ended

    @property
    def _own(self) -> set[int]:
        return {process.pid for process in (*self._nurseries.values(), *self._templates.values())}

    def _cleaned(self, usage: Usage) -> Usage:
        """End what a run without guards left behind."""
        if self._unsafe:
            reap_orphans(self._own)
        return usage

    def _template(self, job: Job, library: bool) -> Process | None:
        """Return the program's template; None where its compilation was ended."""
        made_for = job.program, job.cpu_s, job.memory_bytes, job.output_bytes
        template = self._templates.get(library)
        if template is not None and template.made_for == made_for:
            return template
        if library in job.failed:
            return None
        if template is not None:
            del self._templates[library]
            template.link.close()
            os.kill(template.pid, signal.SIGKILL)
            os.waitpid(template.pid, 0)
        self._wake(library)
        template = self._make_template(job, self._nurseries[library])
        start = monotonic()
        heard = self._wait_for(template, start + job.wall_s)
        if heard is not None and heard[0] == COMPILED:
            template.made_for = made_for
            self._templates[library] = template
            return template
        if heard is None:
            os.kill(template.pid, signal.SIGKILL)
        usage = _usage(*os.wait4(template.pid, 0)[1:])
        template.link.close()
        killed = heard is None
        job.failed[library] = _record(wire.RUNNING, killed, usage, monotonic() - start, 0, 0)
        return None

    def _make_template(self, job: Job, nursery: Process) -> Process:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        program = _memory_file(job.program)
        template = Process(ours)
        numbers = job.cpu_s, job.memory_bytes, job.output_bytes, len(job.program)
        nursery.order(numbers, (theirs.fileno(), program))
        theirs.close()
        os.close(program)
        heard = self._wait_for(template, monotonic() + _START_S)
        if heard is None or heard[0] != GUARDED:
            raise Trouble("no process was ready to compile the program")
        template.pid = heard[1]
        return template

    def _wake(self, library: bool) -> None:
        """Let a nursery load what it needs, and see that its guards hold; once."""
        if library in self._awake:
            return
        nursery = self._nurseries[library]
        nursery.link.send(AWAKE)
        self._expect(nursery, AWAKE)
        if not self._unsafe:
            nursery.order((1, PROBE, 0, 0), ())
            os.waitpid(self._expect(nursery, GUARDED), 0)
        self._awake.add(library)

    def _expect(self, process: Process, message: bytes) -> int:
        heard = self._wait_for(process, monotonic() + _START_S)
        if heard is None or heard[0] != message:
            raise Trouble("a process of the sandbox did not start")
        return heard[1]

    def _wait_for(self, process: Process, end: float) -> tuple[bytes, int] | None:
        """Return the next message of a process; None: it sent none in time."""
        while (left := end - monotonic()) > 0:
            self._wait(process.link.fileno(), left)
            heard = process.hear()
            if heard is not None:
                return heard
        return None

    def _wait(self, descriptor: int, seconds: float) -> None:
        """Wait for a descriptor, and end with everything if nobody wants an answer any more."""
        self._poll.register(descriptor, select.POLLIN)
        events = self._poll.poll(seconds * 1000 + 1)
        self._poll.unregister(descriptor)
        if any(event[0] != descriptor for event in events):
            os._exit(0)
        if events and descriptor == self._ends:
            os.read(descriptor, _SIGNAL_BYTES)


def _usage(status: int, used: Any) -> Usage:
    return status, used[0], used[1], used[2] * 1024


def _record(
    stage: int, killed: bool, usage: Usage, wall_s: float, num_stdout: int, num_stderr: int
) -> bytes:
    status, user_s, system_s, peak_bytes = usage
    return wire.RECORD.pack(
        stage, killed, status, user_s, system_s, wall_s, peak_bytes, num_stdout, num_stderr
    )


def _memory_file(content: bytes) -> int:
    file = os.memfd_create("", os.MFD_CLOEXEC)
    end = 0
    while end < len(content):
        end += os.pwrite(file, content[end:], end)
    return file


def main(link: int, unsafe: bool, nurseries: dict[bool, tuple[int, int]]) -> None:
    """Take jobs until nobody is there to give any; does not return."""
    try:
        server = Server(link, unsafe, nurseries)
    except (Refusal, PermissionError) as error:
        refuse(link, error)
    except (OSError, Trouble):
        os._exit(1)  # somebody else's doing: another server may do
    try:
        os.write(link, wire.READY)
        server.serve()
    except ConnectionError:
        pass
    finally:
        os._exit(0)
