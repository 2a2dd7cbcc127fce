"""What one run gives: status, output, exit code, and what it used."""

from collections.abc import Iterator

import pytest

from reward_fns.sandbox import Limits, Sandbox


@pytest.fixture(scope="module", params=["guarded", "unsafe"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(1, request.param) as sandbox:
        yield sandbox


def test_a_program_reads_and_prints(sandbox: Sandbox) -> None:
    result = sandbox.run("n = int(input())\nprint(n * 3 + 4)", "5\n")
    assert (result.status, result.stdout, result.stderr) == ("ok", b"19\n", b"")
    assert result.exit_code == 0
    assert 0 < result.cpu_s < 5 and 0 < result.wall_s < 5
    assert 1 << 20 < result.peak_bytes < 64 << 20


@pytest.mark.parametrize(
    ("program", "code", "told"),
    [
        ("1 / 0", 1, b"ZeroDivisionError: division by zero\n"),
        ("import sys\nsys.exit(0)", 0, b""),
        ("import sys\nsys.exit(3)", 3, b""),
        ("import sys\nsys.exit('why')", 1, b"why\n"),
        ("exit()", 0, b""),
        ("quit(2)", 2, b""),
        ("raise SystemExit", 0, b""),
        ("import os\nos._exit(0)", 0, b""),
        ("int(input())", 1, b"EOFError: EOF when reading a line\n"),
        ("def f(:\n  pass", 1, b"SyntaxError: invalid syntax\n"),
        ("x = 1\n  y = 2", 1, b"IndentationError: unexpected indent\n"),
        ("x = '\0'", 1, b"SyntaxError: source code string cannot contain null bytes\n"),
        ("x = '\ud800'", 1, b"SyntaxError: 'utf-8' codec can't decode"),
        ("import numpy", 1, b"ModuleNotFoundError: No module named 'numpy'\n"),
        ("(" * 5000, 1, b"SyntaxError: "),
        ("-" * 100_000 + "1", 1, b"Error: "),
        ("\x7fELF\x02\x01", 1, b"SyntaxError: "),
    ],
)
def test_what_does_not_run_to_its_end_is_an_error(sandbox, program, code, told) -> None:
    result = sandbox.run(program)
    assert (result.status, result.exit_code) == ("error", code)
    assert told in result.stderr
    assert b"reward_fns" not in result.stderr


def test_a_traceback_shows_the_program_alone(sandbox: Sandbox) -> None:
    result = sandbox.run("def f():\n    raise ValueError('no')\nf()")
    lines = result.stderr.decode().splitlines()
    assert lines == [
        "Traceback (most recent call last):",
        '  File "program.py", line 3, in <module>',
        '  File "program.py", line 2, in f',
        "ValueError: no",
    ]


@pytest.mark.parametrize(
    "stdin", [b"", bytes(range(256)), b"x" * (1 << 20), "\ud800ä€\n", "no newline"]
)
def test_stdin_arrives_as_it_is(sandbox: Sandbox, stdin: str | bytes) -> None:
    result = sandbox.run("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())", stdin)
    sent = stdin if isinstance(stdin, bytes) else stdin.encode("utf-8", "surrogatepass")
    assert (result.status, result.stdout) == ("ok", sent)


def test_text_that_is_not_utf8_fails_where_it_is_read(sandbox: Sandbox) -> None:
    result = sandbox.run("print('before')\nprint(input())", b"\xff\xfe")
    assert (result.status, result.stdout) == ("error", b"before\n")
    assert b"UnicodeDecodeError" in result.stderr


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nfor line in sys.stdin:\n    print(line.split()[-1])",
        "print(*[line.split()[-1] for line in open(0)], sep='\\n')",
        "import sys\nprint(*[l.split()[-1] for l in sys.stdin.read().splitlines()], sep='\\n')",
        "import sys\nfor line in sys.stdin.buffer:\n    print(line.split()[-1].decode())",
        "import os\nfor line in os.read(0, os.fstat(0).st_size).split(b'\\n')[:2]:\n"
        "    os.write(1, line.split()[-1] + b'\\n')",
        "while True:\n    try:\n        print(input().split()[-1])\n"
        "    except EOFError:\n        break",
    ],
)
def test_input_can_be_read_in_every_common_way(sandbox: Sandbox, program: str) -> None:
    result = sandbox.run(program, "1 2\n3 4\n")
    assert (result.status, result.stdout) == ("ok", b"2\n4\n"), result


@pytest.mark.parametrize(
    ("program", "written"),
    [
        ("import atexit\natexit.register(print, 'bye')\nprint('hello')", b"hello\nbye\n"),
        ("f = open(1, 'w')\nf.write('left open')", b"left open"),
        ("class A:\n    def __del__(self):\n        print('gone')\na = A()", b"gone\n"),
        ("import sys\nsys.stdout.close()", b""),
        ("import sys\nsys.stdout = open(1, 'w')\nprint('replaced')", b"replaced\n"),
        ("print(__name__, __file__)\nimport sys\nprint(sys.argv)", b"__main__ program.py\n"),
    ],
)
def test_a_program_ends_as_in_python(sandbox: Sandbox, program: str, written: bytes) -> None:
    result = sandbox.run(program)
    assert result.status == "ok", result
    assert result.stdout.startswith(written)


@pytest.mark.parametrize(
    "modules",
    [
        "math, cmath, random, statistics, decimal, fractions, itertools, functools, operator",
        "collections, heapq, bisect, queue, array, copy, string, re, textwrap, difflib, struct",
        "json, csv, datetime, calendar, time, hashlib, base64, zlib, binascii, unicodedata",
        "typing, dataclasses, enum, abc, contextlib, types, traceback, threading, io, os, sys",
        "argparse, pprint, logging, string, secrets, uuid, html, xml.etree.ElementTree, timeit",
    ],
)
def test_the_library_can_be_imported(sandbox: Sandbox, modules: str) -> None:
    result = sandbox.run(f"import {modules}\nprint('there')")
    assert result.stdout == b"there\n", result.stderr.decode()


def test_limits_of_the_input_are_results(sandbox: Sandbox) -> None:
    limits = Limits(input_bytes=1000)
    result = sandbox.run("print(1)", "x" * 1001, limits)
    assert (result.status, result.exit_code) == ("error", None)
    assert result.stderr == b"stdin is 1001 bytes: input_bytes allows 1000\n"
    result = sandbox.run("#" * 1001, "", limits)
    assert result.stderr == b"the program is 1001 bytes: input_bytes allows 1000\n"


def test_a_program_of_megabytes_runs(sandbox: Sandbox) -> None:
    program = "x = '" + "a" * (3 << 20) + "'\nprint(len(x))"
    result = sandbox.run(program, limits=Limits(input_bytes=4 << 20))
    assert (result.status, result.stdout) == ("ok", b"%d\n" % (3 << 20))


def test_output_is_cut_at_its_limit(sandbox: Sandbox) -> None:
    limits = Limits(output_bytes=1000)
    assert sandbox.run("print('x' * 999)", limits=limits).status == "ok"
    result = sandbox.run("print('x' * 1000)", limits=limits)
    assert (result.status, len(result.stdout)) == ("output", 1000)
    result = sandbox.run("import sys\nsys.stderr.write('x' * 5000)", limits=limits)
    assert (result.status, result.stdout, len(result.stderr)) == ("output", b"", 1000)


def test_time_is_limited_by_the_clock_and_by_work(sandbox: Sandbox) -> None:
    result = sandbox.run("import time\ntime.sleep(60)", limits=Limits(wall_s=0.2))
    assert (result.status, result.exit_code) == ("timeout", -9)
    assert 0.2 <= result.wall_s < 5 and result.cpu_s < 0.2
    result = sandbox.run("while True:\n    pass", limits=Limits(wall_s=60.0, cpu_s=1))
    assert result.status == "timeout"
    assert 0.4 < result.cpu_s < 2


def test_what_was_written_before_a_timeout_is_returned(sandbox: Sandbox) -> None:
    result = sandbox.run("print('so far', flush=True)\nwhile True: pass", limits=Limits(wall_s=0.3))
    assert (result.status, result.stdout) == ("timeout", b"so far\n")


def test_memory_is_limited(sandbox: Sandbox) -> None:
    small = Limits(memory_bytes=32 << 20)
    hungry = "x = bytearray(48 << 20)\nprint(len(x))"
    assert sandbox.run(hungry).status == "ok"
    result = sandbox.run(hungry, limits=small)
    assert (result.status, result.stdout) == ("memory", b"")
    caught = "try:\n    x = bytearray(48 << 20)\nexcept MemoryError:\n    print('caught')"
    assert sandbox.run(caught, limits=small).status == "ok"


def test_the_peak_is_the_programs_own(sandbox: Sandbox) -> None:
    large = sandbox.run("x = bytearray(100 << 20)").peak_bytes
    small = sandbox.run("x = 1").peak_bytes
    assert large - small > 90 << 20


def test_arithmetic_and_recursion_work(sandbox: Sandbox) -> None:
    program = (
        "import sys\nsys.setrecursionlimit(10 ** 6)\n"
        "def f(n):\n    return n and f(n - 1) + 1\nprint(f(20000), 2 ** 100 % 97)"
    )
    assert sandbox.run(program).stdout == b"20000 16\n"
