"""The processes in which programs are compiled and run: each forks from one that ran nothing.

    server -> nursery -> template of a program -> a run of it

A nursery is an interpreter that has loaded what programs find. On each message of the server it
forks, and does nothing else, so that every fork finds the same memory. Its fork compiles a program
and becomes the program's template, which forks for each run in the same way. A run gives up every
right, tells the server so, closes its last descriptor of ours, runs the program and ends: it shares
nothing that can be written with any other run. All of these are the server's children.

What is imported here is mapped into every program, and is copied and given back for each run.
"""

import _signal
import ctypes
import gc
import os
import sys
from _collections_abc import Callable

from reward_fns.sandbox import wire
from reward_fns.sandbox.landlock import create_ruleset, restrict_self
from reward_fns.sandbox.program import Compiled, execute, prepare_interpreter, warm_up
from reward_fns.sandbox.rights import (
    RLIMIT_AS,
    RLIMIT_CPU,
    RLIMIT_FSIZE,
    UNLIMITED,
    address_space,
    close_inherited,
    drop_rights,
    limit,
    limit_call,
    settle_addresses,
)
from reward_fns.sandbox.seccomp import FORK_FLAGS, build_filters, filter_call
from reward_fns.sandbox.stdlib import (
    COMMON,
    MORE,
    OpeningFinder,
    install_finder,
    preload,
    readable_paths,
)
from reward_fns.sandbox.syscalls import MACHINE, NUMBERS, PR_SET_PDEATHSIG, SystemCall, call, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

LINK, REPORT, MAX_PASSED = 3, 4, 4
"""Descriptors of these processes: the socket to the server, and the last that comes with a message.

The others are 0, 1 and 2, which are free: of a run its streams, of a template its link and text.
"""
AWAKE, GUARDED, COMPILED, FAILED = b"A", b"G", b"C", b"F"
"""What they tell the server; after FAILED comes why."""
PROBE = 0
"""Memory of an order that asks for no template, but whether the guards hold."""
_SHARED, _READ_WRITE, _PAGE_BYTES = 1, 3, 4096


class Order(ctypes.Structure):
    """What a message tells, besides the descriptors: the limits, and the size of the program."""

    _fields_ = (
        ("cpu_s", ctypes.c_uint64),
        ("memory_bytes", ctypes.c_uint64),
        ("output_bytes", ctypes.c_uint64),
        ("program_bytes", ctypes.c_uint64),
    )


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Control(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_size_t),
        ("level", ctypes.c_int),
        ("type", ctypes.c_int),
        ("descriptors", ctypes.c_int * MAX_PASSED),
    )


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("num_vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Nursery:
    """What a nursery and all that descends from it know; made before the first fork."""

    def __init__(self, server: int, unsafe: bool, landlock: int | None, library: bool) -> None:
        if library:
            preload(COMMON if unsafe or landlock else COMMON + MORE)
        self._server, self._unsafe = server, unsafe
        self._die_with_server = SystemCall("prctl", PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
        self._map_report = SystemCall("mmap", 0, _PAGE_BYTES, _READ_WRITE, _SHARED, REPORT, 0)
        self._make_buffers()
        warm_up()
        prepare_interpreter()
        self._base_bytes = address_space()
        self._guards: list[SystemCall] = []
        if not unsafe:
            self._guard(landlock, library)
        for name in [name for name in sys.modules if name.split(".")[0] == "reward_fns"]:
            del sys.modules[name]
        gc.collect()
        gc.freeze()

    def _make_buffers(self) -> None:
        """Make what a message is received into: nothing is made when one comes."""
        self._order, self._control = Order(), _Control()
        self._vector = _Vector(ctypes.addressof(self._order), ctypes.sizeof(self._order))
        self._message = _Message(
            vectors=ctypes.addressof(self._vector),
            num_vectors=1,
            control=ctypes.addressof(self._control),
        )
        self._control_bytes = ctypes.sizeof(self._control)
        # Two numbers of ctypes, or a result of the fork, would change places in memory at each
        # fork: these calls make one at most.
        self._receive = ctypes.PyDLL(None).recvmsg
        self._receive_to = LINK, ctypes.c_void_p(ctypes.addressof(self._message)), 0
        self._fork = ctypes.PyDLL(None).syscall
        self._fork.restype = None
        self._forked = ctypes.c_int(0)
        unused = (0, 0) if MACHINE == "x86_64" else (0, 0, 0)
        place = ctypes.c_void_p(ctypes.addressof(self._forked))
        self._fork_to = NUMBERS["clone"], FORK_FLAGS, *unused, place

    def _guard(self, landlock: int | None, library: bool) -> None:
        if landlock:
            restrict_self(landlock, create_ruleset(landlock, readable_paths()))
        install_finder(OpeningFinder if library else _LibraryFinder)
        first, second = build_filters(may_open=bool(landlock))
        filter_call(first)()
        self._guards.append(filter_call(second))

    def serve(self) -> None:
        """Fork templates until the server is gone; does not return."""
        os.closerange(0, LINK)
        os.write(LINK, AWAKE)
        self._wait()
        try:
            program = self._become_template()
        except BaseException as error:
            _fail(error)
        os.write(LINK, COMPILED)
        self._wait()
        try:
            report = self._enter_run()
        except BaseException as error:
            _fail(error)
        os.close(LINK)
        gc.enable()
        report.value, code = execute(program)
        os._exit(code)

    def _wait(self) -> None:
        """Fork on each message; returns in the forks alone, each of which finds the same memory."""
        while True:
            self._message.control_length = self._control_bytes
            if self._receive(*self._receive_to) <= 0:
                os._exit(0)
            self._fork(*self._fork_to)
            if self._forked.value:
                self._forked.value = 0
                return
            os.closerange(0, LINK)
            os.closerange(REPORT, REPORT + 1)

    def _become_template(self) -> Compiled:
        """Take on what a program's compilation may use, and compile it."""
        self._keep_to_server()
        if self._order.memory_bytes == PROBE:
            self._probe()
        os.dup2(0, LINK)
        source = os.pread(1, self._order.program_bytes, 0)
        os.close(0)
        os.close(1)
        space = self._base_bytes + self._order.memory_bytes
        limit(RLIMIT_AS, space, space)
        limit(RLIMIT_FSIZE, self._order.output_bytes + 1, self._order.output_bytes + 1)
        limit(RLIMIT_CPU, self._order.cpu_s, UNLIMITED)
        self._limit_cpu = limit_call(RLIMIT_CPU, self._order.cpu_s, self._order.cpu_s + 1)
        os.write(LINK, GUARDED)
        program = Compiled(source)
        limit(RLIMIT_CPU, UNLIMITED, UNLIMITED)
        return program

    def _enter_run(self) -> ctypes.c_ubyte:
        """Leave behind what is ours, take on limits and guards, and say so.

        Each page that is written here is copied first, so this does little.
        """
        global _report
        _report = ctypes.c_ubyte.from_address(self._map_report())
        os.close(REPORT)
        if self._unsafe:
            os.setsid()
        self._keep_to_server()
        self._limit_cpu()
        for guard in self._guards:
            guard()
        os.write(LINK, GUARDED)
        return _report

    def _keep_to_server(self) -> None:
        self._die_with_server()
        if os.getppid() != self._server:
            raise OSError("the server is gone")

    def _probe(self) -> None:
        """Enter the guards of a run and tell whether they refuse what they must."""
        for guard in self._guards:
            guard()
        for name, attempt in FORBIDDEN.items():
            try:
                attempt()
            except PermissionError:
                continue
            raise OSError(f"the guards do not hold: {name} is not refused")
        os.write(LINK, GUARDED)
        os._exit(0)


_report = ctypes.c_ubyte()
"""In a run: the byte that tells the server how it ends."""


FORBIDDEN: dict[str, Callable[[], object]] = {
    "opening a file": lambda: os.open("/", os.O_RDONLY),
    "writing a file": lambda: os.open("/", os.O_TMPFILE | os.O_WRONLY),
    "looking at a file": lambda: os.stat("/"),
    "a socket": lambda: call("socket", 1, 1, 0),
    "a process": os.fork,
    "a signal": lambda: os.kill(os.getppid(), 0),
}


class _LibraryFinder:
    """Finds no module: a program that imports one after all is run again where all are loaded."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """End this run."""
        _report.value = wire.NEEDS_LIBRARY
        os._exit(0)


def _fail(error: BaseException) -> "NoReturn":
    os.write(LINK, FAILED + f"{type(error).__name__}: {error}".encode()[:1000])
    os._exit(1)


def fork_nurseries(unsafe: bool, landlock: int | None) -> dict[bool, tuple[int, int]]:
    """Fork, in a server that has just started, its nurseries: a bare one, one with the library.

    Returns the process and our end of the socket of each. They wait until they are woken.
    """
    settle_addresses()
    os.environ.pop("PWD", None)  # bubblewrap sets it
    link = close_inherited()
    gc.disable()  # no page that a collection would touch later is worth the memory
    try:
        drop_rights()
        server = os.getpid()
        return {library: _forked(server, unsafe, landlock, library) for library in (False, True)}
    except Exception as error:
        refuse(link, error)


def _forked(server: int, unsafe: bool, landlock: int | None, library: bool) -> tuple[int, int]:
    ends = (ctypes.c_int * 2)()
    if ctypes.PyDLL(None).socketpair(1, 5, 0, ends):
        raise OSError("no pair of sockets can be made")
    pid = os.fork()
    if pid:
        os.close(ends[1])
        return pid, ends[0]
    os.dup2(ends[1], LINK)
    os.closerange(REPORT, 1 << 10)
    try:
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.read(LINK, 1):
            Nursery(server, unsafe, landlock, library).serve()
        os._exit(0)
    except BaseException as error:
        _fail(error)


def refuse(link: int, error: BaseException) -> "NoReturn":
    """Tell the client that no program can be run here, and end."""
    os.write(link, wire.REFUSED + f"{type(error).__name__}: {error}".encode()[:2000])
    os._exit(1)
