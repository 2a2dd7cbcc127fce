"""What a server does to itself when it starts: fixed addresses, no descriptors, few rights."""

import _signal
import ctypes
import os
import struct
import sys

from reward_fns.sandbox.syscalls import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    SystemCall,
    call,
    prctl,
)

_ADDR_NO_RANDOMIZE = 0x0040000
_STACK_BYTES = 8 << 20
_NUM_DESCRIPTORS = 32
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2
_SPACE_IF_UNKNOWN = 32 << 20
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")

RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_AS = 0, 1, 3, 4, 7, 9
UNLIMITED = 2**64 - 1
_LIMITS = struct.Struct("<QQ")


def limit_call(resource: int, soft: int, hard: int) -> SystemCall:
    """Return the call that sets a limit; `resource`'s module would be mapped into every program."""
    return SystemCall("prlimit64", 0, resource, _LIMITS.pack(soft, hard), None)


def limit(resource: int, soft: int, hard: int) -> None:
    """Set a limit of this process."""
    limit_call(resource, soft, hard)()


def hard_limit(resource: int) -> int:
    """Return the most that a limit of this process may be set to."""
    found = ctypes.create_string_buffer(_LIMITS.size)
    call("prlimit64", 0, resource, None, found)
    hard: int = _LIMITS.unpack(found.raw)[1]
    return hard


def settle_addresses() -> None:
    """Start over without random addresses, so that ids and the order of sets are the same."""
    try:
        now = call("personality", 0xFFFFFFFF)
        if not now & _ADDR_NO_RANDOMIZE:
            call("personality", now | _ADDR_NO_RANDOMIZE)
            limit(RLIMIT_STACK, _STACK_BYTES, hard_limit(RLIMIT_STACK))
            os.execv(sys.executable, sys.orig_argv)
    except OSError:
        return


def close_inherited() -> int:
    """Move the socket from stdin to 3, close whatever else there is, and return 3."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(0, 3, inheritable=False)
    os.dup2(null if null != 3 else os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(0, 2)
    os.closerange(4, 1 << 20)
    return 3


def drop_rights() -> None:
    """Give up, once for all children too, what neither server nor programs need."""
    _be_first_to_go()
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        _keep_capabilities(_CAP_DAC_READ_SEARCH)  # root's, for a library in a private home
    except OSError:
        _keep_capabilities(0)
    limit(RLIMIT_CORE, 0, 0)
    limit(RLIMIT_NOFILE, _NUM_DESCRIPTORS, _NUM_DESCRIPTORS)
    # Python ignores it: too much output would go on.
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)


def _be_first_to_go() -> None:
    """Out of memory, let the kernel end programs before trainers."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return


def _keep_capabilities(kept: int) -> None:
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    call("capset", header, struct.pack("<6I", kept, kept, 0, 0, 0, 0))


def address_space() -> int:
    """Return how much address space this process has mapped."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * _PAGE_BYTES
    except OSError:
        return _SPACE_IF_UNKNOWN
