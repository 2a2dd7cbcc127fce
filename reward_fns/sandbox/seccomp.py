"""Seccomp: the few system calls that a program which reads, computes and prints needs.

Everything else fails with EPERM; a call in a foreign format (32 bit, x32) kills. The filter is a
binary tree over the call's number: the kernel walks it for each number once, when it is installed.
"""

import ctypes
import os
import struct

from reward_fns.sandbox.syscalls import MACHINE, MACHINES, PR_SET_PDEATHSIG, SystemCall, call

_SET_MODE_FILTER = 1
_GET_ACTION_AVAIL = 2
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000
_REFUSE = _ERRNO | 1  # EPERM

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x35, 0x45
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16

_PLAIN = (
    "read", "readv", "pread64", "write", "writev", "lseek", "close", "fstat", "dup", "dup2",
    "dup3", "poll", "ppoll", "select", "pselect6", "getcwd", "mmap", "munmap", "mremap",
    "mprotect", "madvise", "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "pause", "alarm",
    "getitimer", "setitimer", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
    "gettimeofday", "time", "times", "getrusage", "getrandom", "getpid", "getppid", "gettid",
    "getuid", "geteuid", "getgid", "getegid", "sched_yield", "getcpu", "restart_syscall", "exit",
    "exit_group",
)  # fmt: skip

_PREPARING = ("clone", "prctl", "recvmsg", "setsid", "seccomp")
"""What only processes need that prepare a run."""

# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC: no locks, leases, owners, notifications.
_FCNTL_COMMANDS = (0, 1, 2, 3, 1030)
# WAIT, WAKE, WAIT_BITSET, WAKE_BITSET, which locks use: no requeueing, no priority inheritance.
_FUTEX_COMMANDS = (0, 1, 9, 10)
_FUTEX_COMMAND_MASK = 0x7F
# Reading only, and no O_PATH, which Landlock does not restrict.
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_DIRECTORY | os.O_NOCTTY | 0x8000

_CLONE_PARENT, _CLONE_CHILD_SETTID, _SIGCHLD = 0x8000, 0x01000000, 17
FORK_FLAGS = _CLONE_PARENT | _CLONE_CHILD_SETTID | _SIGCHLD
"""Of the one kind of fork that there is: a sibling, which finds its number in its memory."""

Code = list[tuple[int, int, int, int]]


def seccomp_available() -> bool:
    """Whether the kernel installs filters that answer with an error or kill."""
    try:
        for action in (_ERRNO, _KILL):
            value = ctypes.create_string_buffer(struct.pack("<I", action))
            call("seccomp", _GET_ACTION_AVAIL, 0, value)
    except OSError:
        return False
    return MACHINE in _AUDIT_ARCH


def build_filters(may_open: bool, machine: str = MACHINE) -> tuple[bytes, bytes]:
    """Return the instructions of two filters; `may_open`: files can be opened, to read.

    The first is for processes that run no program, and may fork and prepare one that does; the
    second, short as each run installs it, takes that away. A call must pass both.
    """
    numbers = MACHINES[machine]
    blocks = {numbers[name]: _give(_ALLOW) for name in _PLAIN if name in numbers}
    blocks[numbers["fcntl"]] = _one_of(1, _FCNTL_COMMANDS)
    blocks[numbers["futex"]] = _one_of(1, _FUTEX_COMMANDS, _FUTEX_COMMAND_MASK)
    blocks[numbers["clone"]] = _one_of(0, (FORK_FLAGS,))
    blocks[numbers["prctl"]] = _one_of(0, (PR_SET_PDEATHSIG,))
    blocks[numbers["prlimit64"]] = _one_of(0, (0,))
    blocks |= {numbers[name]: _give(_ALLOW) for name in ("recvmsg", "setsid", "seccomp")}
    if may_open:
        blocks[numbers["openat"]] = _only_bits(2, _OPEN_FLAGS)
    taken = {numbers[name]: _give(_REFUSE) for name in _PREPARING}
    taken[numbers["prlimit64"]] = _own_limits()
    return (
        _whole(machine, _tree(_steps(blocks, _give(_REFUSE)))),
        _whole(machine, _tree(_steps(taken, _give(_ALLOW)))),
    )


def _whole(machine: str, tree: Code) -> bytes:
    code: Code = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        *_give(_KILL),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        *_give(_KILL),
        *tree,
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _give(action: int) -> Code:
    return [(_RETURN, 0, 0, action)]


def _argument(index: int, half: int = 0) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, _OFFSET_ARGS + 8 * index + 4 * half)


def _one_of(index: int, values: tuple[int, ...], mask: int = 0) -> Code:
    """Allow if the argument's low half, masked, is one of the values."""
    code = [_argument(index)] + ([(_AND, 0, 0, mask)] if mask else [])
    for position, value in enumerate(values):
        code.append((_IF_EQUAL, len(values) - position, 0, value))
    return [*code, *_give(_REFUSE), *_give(_ALLOW)]


def _only_bits(index: int, bits: int) -> Code:
    """Allow if the argument's low half has no other bits."""
    others = ~bits & 0xFFFFFFFF
    return [
        _argument(index),
        (_IF_ANY_BIT, 0, 1, others),
        *_give(_REFUSE),
        *_give(_ALLOW),
    ]


def _own_limits() -> Code:
    """Allow prlimit64 to read this process's limits: pid 0, and no new limit."""
    return [
        _argument(0),
        (_IF_EQUAL, 0, 5, 0),
        _argument(2),
        (_IF_EQUAL, 0, 3, 0),
        _argument(2, half=1),
        (_IF_EQUAL, 0, 1, 0),
        *_give(_ALLOW),
        *_give(_REFUSE),
    ]


def _steps(blocks: dict[int, Code], other: Code) -> list[tuple[int, Code]]:
    """Where the answer changes: each number from which on a block holds."""
    steps: list[tuple[int, Code]] = [(0, other)]
    for number in sorted(blocks):
        for start, block in ((number, blocks[number]), (number + 1, other)):
            if steps[-1][0] == start:
                steps.pop()
            if not steps or steps[-1][1] != block:
                steps.append((start, block))
    return steps


def _tree(steps: list[tuple[int, Code]]) -> Code:
    if len(steps) == 1:
        return steps[0][1]
    middle = len(steps) // 2
    low, high = _tree(steps[:middle]), _tree(steps[middle:])
    assert len(low) < 256, "a jump reaches 255 instructions"
    return [(_IF_AT_LEAST, len(low), 0, steps[middle][0]), *low, *high]


def filter_call(code: bytes) -> SystemCall:
    """Return the call that puts a process under the filter for good; needs no_new_privs."""
    instructions = ctypes.create_string_buffer(code, len(code))
    _kept.append(instructions)
    header = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(instructions))
    return SystemCall("seccomp", _SET_MODE_FILTER, 0, header)


_kept: list[ctypes.Array[ctypes.c_char]] = []  # the kernel reads them at each call
