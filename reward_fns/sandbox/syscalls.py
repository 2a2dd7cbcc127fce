"""System calls that Python does not offer, through ctypes, and their numbers on two machines."""

import ctypes
import errno
import os

NUMBERS_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "pread64": 17, "readv": 19, "writev": 20, "select": 23,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34,
    "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39,
    "socket": 41, "recvmsg": 47, "clone": 56, "exit": 60, "fcntl": 72, "getcwd": 79,
    "gettimeofday": 96, "getrusage": 98, "times": 100,
    "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
    "setsid": 112, "capset": 126, "rt_sigpending": 127, "rt_sigtimedwait": 128,
    "rt_sigsuspend": 130,
    "sigaltstack": 131, "personality": 135, "prctl": 157, "gettid": 186, "time": 201,
    "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "openat": 257,
    "pselect6": 270, "ppoll": 271, "signalfd4": 289, "dup3": 292, "prlimit64": 302,
    "getcpu": 309, "seccomp": 317, "getrandom": 318,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}  # fmt: skip

NUMBERS_AARCH64 = {
    "getcwd": 17, "dup": 23, "dup3": 24, "fcntl": 25, "openat": 56, "close": 57, "lseek": 62,
    "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "pselect6": 72,
    "ppoll": 73, "signalfd4": 74, "fstat": 80, "capset": 91, "personality": 92, "exit": 93,
    "exit_group": 94, "futex": 98, "nanosleep": 101,
    "getitimer": 102, "setitimer": 103, "clock_gettime": 113, "clock_getres": 114,
    "clock_nanosleep": 115, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132,
    "rt_sigsuspend": 133, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigpending": 136,
    "rt_sigtimedwait": 137, "rt_sigreturn": 139, "times": 153, "setsid": 157, "getrusage": 165,
    "prctl": 167, "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174,
    "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "socket": 198,
    "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "mmap": 222,
    "mprotect": 226, "madvise": 233,
    "prlimit64": 261, "seccomp": 277, "getrandom": 278,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}  # fmt: skip

MACHINES = {"x86_64": NUMBERS_X86_64, "aarch64": NUMBERS_AARCH64}

MACHINE = os.uname().machine
NUMBERS = MACHINES.get(MACHINE, {})

# Calls keep the interpreter's lock, so that one that forks changes nothing in this process.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


class SystemCall:
    """A system call with its arguments, ready to be made at once, also after a fork."""

    def __init__(self, name: str, *arguments: Argument) -> None:
        number = NUMBERS.get(name)
        if number is None:
            raise OSError(errno.ENOSYS, f"{name}: unknown on {MACHINE}")
        self._name = name
        self._arguments = [ctypes.c_long(number)] + [
            ctypes.c_ulong(argument) if isinstance(argument, int) else argument
            for argument in arguments
        ]

    def __call__(self) -> int:
        """Make the call and return its result; OSError where it fails."""
        result: int = _libc.syscall(*self._arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{self._name}: {os.strerror(code)}")
        return result


def call(name: str, *arguments: Argument) -> int:
    """Make a system call and return its result; OSError where it fails."""
    return SystemCall(name, *arguments)()


PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_GET_SECCOMP = 21
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def prctl(option: int, value: int = 0) -> int:
    """Set or read a property of this process."""
    return call("prctl", option, value, 0, 0, 0)
