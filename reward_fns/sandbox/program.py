"""Compiles a program's text, and runs it as `__main__`, ending as Python ends a script.

It is compiled once in a process that runs nothing of it, and runs in forks of that one, each for
one run, which may leave the interpreter in any state.
"""

import _sitebuiltins
import _thread
import atexit
import builtins
import ctypes
import io
import os
import struct
import sys
from types import CodeType, ModuleType

from reward_fns.sandbox import wire
from reward_fns.sandbox.syscalls import MACHINE, call

FILE = "program.py"
_FLUSH_FAILED = 120
_BUFFER_BYTES = 1 << 16

# mode, inode, device, links, uid, gid, size, then atime, mtime and ctime with nanoseconds.
_STAT_ORDER = {"x86_64": (3, 1, 0, 2, 4, 5, 7), "aarch64": (2, 1, 0, 3, 4, 5, 7)}
_STAT_LAYOUT = {"x86_64": "<QQQIIIxxxxQqqqqqqqqq", "aarch64": "<QQIIIIQxxxxxxxxqixxxxqqqqqqq"}


class _Ignored:
    """What contextlib.suppress(BaseException) is; its module would load half of the library."""

    def __enter__(self) -> None:
        return

    def __exit__(self, *exception: object) -> bool:
        return True


def prepare_interpreter() -> None:
    """Make, once in a server, what every program finds: streams, exit and quit, argv, …"""
    sys.stdin = sys.__stdin__ = _stream(0, "r", "strict")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "w", "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "w", "backslashreplace")  # type: ignore[misc]
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    sys.argv = [FILE]
    os.fstat = sys.modules["posix"].fstat = _fstat  # type: ignore[attr-defined]
    os.uname = sys.modules["posix"].uname = _uname  # type: ignore[attr-defined]


def _stream(number: int, mode: str, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(number, mode, closefd=False)
    buffer = (io.BufferedReader if mode == "r" else io.BufferedWriter)(raw, _BUFFER_BYTES)
    stream = io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=number == 2)
    stream.mode = mode  # type: ignore[misc]
    return stream


def _fstat(fd: int) -> os.stat_result:
    """Read a descriptor's status; libc's own way is refused, as it can be given a path."""
    data = ctypes.create_string_buffer(256)
    call("fstat", fd, data)
    fields = struct.unpack_from(_STAT_LAYOUT[MACHINE], data)
    whole = [fields[index] for index in _STAT_ORDER[MACHINE]]
    times = fields[-6::2]
    nanoseconds = [s * 10**9 + n for s, n in zip(times, fields[-5::2], strict=True)]
    seconds = [n / 1e9 for n in nanoseconds]
    return os.stat_result([*whole, *times, *seconds, *nanoseconds])


def _uname() -> os.uname_result:
    """Name no host and no version of the kernel: the same on every machine."""
    return os.uname_result(("Linux", "localhost", "", "", MACHINE))


class Compiled:
    """What a program's text became, and what its compilation told on stderr."""

    def __init__(self, source: bytes) -> None:
        self.code: CodeType | None = None
        self.error: BaseException | None = None
        stderr, sys.stderr = sys.stderr, io.StringIO()
        try:
            self.code = _compile(source)
        except BaseException as error:
            self.error = error
        self.told, sys.stderr = sys.stderr.getvalue(), stderr

    def start(self, main: ModuleType) -> None:
        """Run the program, as if it had just been compiled."""
        if self.told:
            sys.stderr.write(self.told)
        if self.code is None:
            assert self.error is not None
            raise self.error
        exec(self.code, main.__dict__)


def _compile(source: bytes) -> CodeType:
    try:
        return compile(source.decode(), FILE, "exec", dont_inherit=True)
    except ValueError as error:  # text that is not UTF-8, NUL bytes, some too large numbers
        raise SyntaxError(str(error)) from None
    except MemoryError:  # Python's parser says this of text that is nested too deeply, too
        raise SyntaxError("too deeply nested, or too large, to be parsed") from None


def execute(program: Compiled) -> tuple[int, int]:
    """Run the program to where Python would end; returns how it ended, and an exit code."""
    main = ModuleType("__main__")
    main.__dict__.update(__file__=FILE, __builtins__=builtins)
    sys.modules["__main__"] = main
    ended = _run(program, main)
    try:
        _finish(main)
    except BaseException as error:
        return (wire.RAISED, _show(error, _FLUSH_FAILED)) if ended[0] == wire.FINISHED else ended
    return ended


def _run(program: Compiled, main: ModuleType) -> tuple[int, int]:
    try:
        program.start(main)
        return wire.FINISHED, 0
    except SystemExit as error:
        return wire.EXITED, _exit_code(error.code)
    except MemoryError:
        with _Ignored():
            os.write(2, b"MemoryError\n")
        return wire.OUT_OF_MEMORY, 1
    except BaseException as error:
        return wire.RAISED, _show(error, 1)


def _exit_code(code: object) -> int:
    """Return the exit code of a SystemExit, as Python reads it."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    with _Ignored():
        print(code, file=sys.stderr)
    return 1


def _show(error: BaseException, code: int) -> int:
    """Print the traceback without our own frames, and pass the code on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    with _Ignored():
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    return code


def _finish(main: ModuleType) -> None:
    """Wait for threads, run what was registered for the end, and flush."""
    if _thread._count():
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    _flush()
    main.__dict__.clear()  # files that the program left open are flushed here
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()


def warm_up() -> None:
    """Run a text of our own a few times, so that no child has to be the first to do so."""
    for _ in range(_WARM_UPS):
        files = [os.memfd_create("") for _ in range(2)]
        os.pwrite(files[0], b"3\n4 5\n", 0)
        sys.stdin = _stream(files[0], "r", "strict")
        sys.stdout = sys.__stdout__ = _stream(files[1], "w", "strict")  # type: ignore[misc]
        stage, _ = execute(Compiled(_WARM_UP))
        assert stage == wire.FINISHED
        for descriptor in files:
            os.close(descriptor)


_WARM_UPS = 16
_WARM_UP = b"""
n = int(input())
a, b = map(int, input().split())
values = [x * n for x in range(a, b + 9) if x % 2]
print(n * 3 + 4, sum(values), sep=" ")
print(f"{max(values)}", "".join(str(x) for x in values), {"a": [a, b]})
"""
