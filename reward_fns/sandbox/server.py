"""A server: a fresh interpreter that forks one guarded child a program, and runs no program itself.

It is started by `launch.py` as `python -s -P -S -c …` with an empty environment and its socket as
stdin. It ends when that socket closes, or when the process that started it ends.
"""

import _socket
import gc
import os
import select
import signal
import struct
import sys
from mmap import PAGESIZE, mmap
from time import monotonic

from reward_fns.sandbox import wire
from reward_fns.sandbox.child import Entry, Job, probe_guards, run_job
from reward_fns.sandbox.landlock import create_ruleset, restrict_self
from reward_fns.sandbox.orphans import reap_orphans
from reward_fns.sandbox.program import prepare_interpreter, warm_up
from reward_fns.sandbox.rights import (
    address_space,
    close_inherited,
    drop_rights,
    settle_addresses,
)
from reward_fns.sandbox.seccomp import build_filter, filter_call
from reward_fns.sandbox.stdlib import COMMON, MORE, install_finder, preload, readable_paths

_DESCRIPTORS = struct.Struct("4i")
_DESCRIPTORS_SPACE = _socket.CMSG_SPACE(_DESCRIPTORS.size)


def main(unsafe: bool, landlock: int | None) -> None:
    """Take jobs until nobody is there to give any."""
    settle_addresses()
    os.environ.pop("PWD", None)  # bubblewrap sets it
    link = _socket.socket(fileno=close_inherited())
    try:
        server = Server(link, unsafe, landlock)
        if not unsafe:
            server.probe()
    except Exception as error:
        link.send(wire.REFUSED + f"{type(error).__name__}: {error}".encode()[:2000])
        os._exit(1)
    try:
        link.send(wire.READY)
        server.serve()
    except ConnectionError:
        pass
    finally:
        os._exit(0)


class Server:
    """The loop, and what is made once for all children."""

    def __init__(self, link: _socket.socket, unsafe: bool, landlock: int | None) -> None:
        gc.disable()  # no page that a collection would touch later is worth the memory
        self._link, self._unsafe = link, unsafe
        parent = os.getppid()
        self._parent = os.pidfd_open(parent) if parent else -1
        preload(COMMON if unsafe or landlock else COMMON + MORE)
        base_bytes = address_space()
        drop_rights()
        guards = []
        if not unsafe:
            if landlock:
                restrict_self(landlock, create_ruleset(landlock, readable_paths()))
            guards.append(filter_call(build_filter(may_open=bool(landlock))))
            install_finder()
        self._entry = Entry(os.getpid(), base_bytes, guards)
        self._ending = select.poll()
        self._ending.register(link, 0)  # hung up: nobody wants the answer any more
        if self._parent >= 0:
            self._ending.register(self._parent, select.POLLIN)
        self._report, self._guarded = mmap(-1, PAGESIZE), mmap(-1, PAGESIZE)
        warm_up()
        prepare_interpreter()
        for name in [name for name in sys.modules if name.split(".")[0] == "reward_fns"]:
            del sys.modules[name]
        gc.freeze()

    def probe(self) -> None:
        """Fail where a child under the guards can do what it must not."""
        pid = os.fork()
        if pid == 0:
            probe_guards(self._entry, self._guarded)
        _, status = os.waitpid(pid, 0)
        if status == signal.SIGKILL:
            os._exit(1)  # somebody else's doing: another server may do
        if not self._guarded[0]:
            raise OSError(f"the guards do not hold: {self._told().decode()}")

    def serve(self) -> None:
        """Answer jobs one after the other."""
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
            job = Job._make((*wire.JOB.unpack(data), _DESCRIPTORS.unpack(extra[0][2])))
            try:
                answer = self._answer(job)
            except OSError as error:
                answer = wire.TROUBLE + str(error).encode()
            for descriptor in job.descriptors:
                os.close(descriptor)
            self._link.send(answer)

    def _answer(self, job: Job) -> bytes:
        report, guarded = self._report, self._guarded
        report[0] = wire.RUNNING
        guarded[:2] = b"\0\0"
        start = monotonic()
        pid = os.fork()
        if pid == 0:
            gc.enable()
            run_job(job, self._entry, guarded, report)
        killed = self._wait(pid, start + job.wall_s)
        if self._unsafe:
            os.killpg(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        if self._unsafe:
            reap_orphans()
        wall_s = monotonic() - start
        if not (guarded[0] or killed):
            return wire.TROUBLE + self._told()
        return wire.REPLY + wire.OUTCOME.pack(
            report[0], killed, status, used[0], used[1], wall_s, used[2] * 1024
        )

    def _wait(self, pid: int, end: float) -> bool:
        """Wait for the child's end, or end it; returns whether it had to be killed."""
        child = os.pidfd_open(pid)
        self._ending.register(child, select.POLLIN)
        events: list[tuple[int, int]] = []
        while not events and (left := end - monotonic()) > 0:
            events = self._ending.poll(left * 1000 + 1)
        self._ending.unregister(child)
        killed = (child, select.POLLIN) not in events
        if killed:
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)
        return killed

    def _told(self) -> bytes:
        return self._guarded[1:1100].partition(b"\0")[0]
