"""A server: a fresh interpreter that forks one guarded child a program, and runs no program itself.

It is started by `launch.py` as `python -s -P -S -c …` with an empty environment and its socket as
stdin. It ends when that socket closes, or when the process that started it ends.
"""

import array
import contextlib
import gc
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import time

from reward_fns.sandbox import wire
from reward_fns.sandbox.child import Guards, Job, probe_guards, run_job
from reward_fns.sandbox.landlock import create_ruleset
from reward_fns.sandbox.program import prepare_interpreter
from reward_fns.sandbox.seccomp import Filter, build_filter
from reward_fns.sandbox.stdlib import COMMON, MORE, install_finder, preload, readable_paths
from reward_fns.sandbox.syscalls import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    call,
    prctl,
)

_ADDR_NO_RANDOMIZE = 0x0040000
_STACK_BYTES = 8 << 20
_NUM_DESCRIPTORS = 64
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2
_REAP_S = 5.0


def main(unsafe: bool, landlock: int | None) -> None:
    """Take jobs until nobody is there to give any."""
    settle_addresses()
    link = take_socket()
    try:
        server = Server(link, unsafe, landlock)
        server.probe()
    except Exception as error:
        link.send(wire.REFUSED + f"{type(error).__name__}: {error}".encode()[:2000])
        raise
    link.send(wire.READY)
    with contextlib.suppress(ConnectionError):
        server.serve()
    os._exit(0)


def settle_addresses() -> None:
    """Start over without random addresses, so that ids and the order of sets are the same."""
    with contextlib.suppress(OSError):
        now = call("personality", 0xFFFFFFFF)
        if not now & _ADDR_NO_RANDOMIZE:
            call("personality", now | _ADDR_NO_RANDOMIZE)
            _, hard = resource.getrlimit(resource.RLIMIT_STACK)
            resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, hard))
            os.execv(sys.executable, sys.orig_argv)


def take_socket() -> socket.socket:
    """Move the socket away from stdin, and close whatever else was inherited."""
    null = os.open(os.devnull, os.O_RDWR)
    link = socket.socket(fileno=os.dup(0))
    os.dup2(null, 0)
    os.dup2(null, 1)
    for descriptor in range(3, max(null, link.fileno()) + 1):
        if descriptor != link.fileno():
            with contextlib.suppress(OSError):
                os.close(descriptor)
    os.closerange(link.fileno() + 1, 1 << 16)
    return link


class Server:
    """The loop, and what is made once for all children."""

    def __init__(self, link: socket.socket, unsafe: bool, landlock: int | None) -> None:
        self._link = link
        self._parent = os.pidfd_open(os.getppid())
        preload(COMMON if unsafe or landlock else COMMON + MORE)
        self._guards = Guards()
        drop_rights()
        if not unsafe:
            ruleset = create_ruleset(landlock, readable_paths()) if landlock else None
            self._guards = Guards(landlock, ruleset, Filter(build_filter(landlock is not None)))
            install_finder()
        self._pid = os.getpid()
        self._base_bytes = address_space()
        self._report = mmap.mmap(-1, mmap.PAGESIZE)
        prepare_interpreter()
        for name in [name for name in sys.modules if name.split(".")[0] == "reward_fns"]:
            del sys.modules[name]
        gc.collect()
        gc.freeze()

    def probe(self) -> None:
        """Fail where a child under the guards can do what it must not."""
        if self._guards.filter is None:
            return
        pid = os.fork()
        if pid == 0:
            probe_guards(self._guards, self._report, self._pid)
        os.waitpid(pid, 0)
        if self._report[0] != wire.GUARDED:
            raise OSError(f"the guards do not hold: {self._told()}")

    def serve(self) -> None:
        """Answer jobs one after the other."""
        while (job := self._receive()) is not None:
            try:
                answer = self._answer(job)
            except OSError as error:
                answer = wire.TROUBLE + str(error).encode()
            for descriptor in job.descriptors:
                os.close(descriptor)
            self._link.send(answer)

    def _receive(self) -> Job | None:
        waiting = select.poll()
        waiting.register(self._link, select.POLLIN)
        waiting.register(self._parent, select.POLLIN)
        if any(descriptor == self._parent for descriptor, _ in waiting.poll()):
            return None
        size = array.array("i").itemsize
        data, extra, _, _ = self._link.recvmsg(wire.PACKET_BYTES, socket.CMSG_SPACE(4 * size))
        if len(data) != wire.JOB.size or not extra:
            return None
        wall_s, cpu_s, memory_bytes, output_bytes, program_bytes = wire.JOB.unpack(data)
        first, second, third, fourth = struct.unpack("4i", extra[0][2])
        descriptors = (first, second, third, fourth)
        return Job(wall_s, cpu_s, memory_bytes, output_bytes, program_bytes, descriptors)

    def _answer(self, job: Job) -> bytes:
        report = self._report
        report[0] = wire.NOTHING
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            run_job(job, self._guards, self._base_bytes, report, self._pid)
        killed = self._wait(pid, start + job.wall_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        wall_s = time.monotonic() - start
        reap_orphans()
        stage = report[0]
        if stage == wire.NOT_GUARDED:
            return wire.TROUBLE + self._told().encode()
        cpu = (used.ru_utime, used.ru_stime)
        peak_bytes = used.ru_maxrss * 1024
        return wire.REPLY + wire.OUTCOME.pack(stage, killed, status, *cpu, wall_s, peak_bytes)

    def _wait(self, pid: int, end: float) -> bool:
        """Wait for the child's end, or end it; returns whether it had to be killed."""
        child = os.pidfd_open(pid)
        try:
            waiting = select.poll()
            waiting.register(child, select.POLLIN)
            waiting.register(self._parent, select.POLLIN)
            waiting.register(self._link, 0)  # hung up: nobody wants the answer any more
            while (left := end - time.monotonic()) > 0:
                events = waiting.poll(left * 1000 + 1)
                if any(descriptor == child for descriptor, _ in events):
                    return False
                if events:
                    break
            signal.pidfd_send_signal(child, signal.SIGKILL)
            return True
        finally:
            os.close(child)

    def _told(self) -> str:
        (size,) = struct.unpack("<H", self._report[1:3])
        return self._report[3 : 3 + size].decode(errors="replace")


def drop_rights() -> None:
    """Give up, once for all children too, what neither server nor programs need."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # out of memory, the kernel ends programs before trainers
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    keep = _CAP_DAC_READ_SEARCH if os.geteuid() == 0 else 0  # a library in a private home
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    call("capset", header, struct.pack("<6I", keep, keep, 0, 0, 0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_NUM_DESCRIPTORS, _NUM_DESCRIPTORS))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it: too much output would go on


def address_space() -> int:
    """Return how much address space this process has mapped."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * mmap.PAGESIZE


def reap_orphans() -> None:
    """End what a program left behind; under the guards it cannot start anything."""
    end = time.monotonic() + _REAP_S
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] or kill_children():
            if time.monotonic() > end:
                raise OSError("a program's processes could not be ended")


def kill_children() -> bool:
    """Kill every child of this process, and tell that there may be more."""
    with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
        for pid in file.read().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    time.sleep(0.001)
    return True
