"""A run depends on its program and input alone: the same bytes alone, in any group and order, on
any server, and after any neighbour."""

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.cruxeval import cruxeval_program
from datagen.keys import item_keys
from datagen.programs.inputs import draw_input
from datagen.programs.knobs import DEFAULTS
from datagen.programs.make import make_program
from datagen.stream import Stream
from reward_fns.sandbox import Limits, Result, Sandbox
from tests.benchmarks import benchmark
from tests.unit.test_sandbox_pool import runs_of, servers

Run = tuple[str, str]

TELLING = {
    "memory": "n = int(input())\ncells = [0] * n\ntry:\n    more = [1] * (n + 9000000)\n"
    "    print('fits', n % 7)\nexcept MemoryError:\n    print('too large')",
    "recursion": "def f(n):\n    try:\n        return f(n + 1)\n    except RecursionError:\n"
    "        return n\nprint(f(int(input())))",
    "addresses": "def a(): pass\ndef b(): pass\ndef c(): pass\nclass D: pass\n"
    "print({a, b, c, D, print}, id(D), id(object()), id([0] * 100), id(input()))",
    "many addresses": "n = int(input())\n"
    "print([id(bytearray(size)) for size in range(0, 2000, 8)], [id(f'{i}x') for i in range(99)],"
    " [id(one) for one in [[] for _ in range(60)]], [id((n,) * size) for size in range(9)],"
    " id({i: i for i in range(n)}), id(3.5 * n), id(n ** 20), id(lambda: 1))",
    "a warning": "print('\\d', 1 is 1, input())",
    "no program": "print(input()",
    "too deep": "(" * 3000,
    "a null byte": "x = '\0'",
    "interpreter": "import sys, gc, os, random, signal, threading\n"
    "print(sys.getrecursionlimit(), sys.getrefcount(None) > 0, gc.get_threshold(), gc.get_count(),"
    " gc.isenabled(), len(gc.get_objects()), os.environ, random.random(), sorted(sys.modules)[:9],"
    " signal.getsignal(signal.SIGALRM), signal.getitimer(0), threading.active_count(),"
    " sys.stdin.mode, sys.getswitchinterval(), len(object.__subclasses__()), input())",
    "open files": "import os\nfor n in range(20):\n    try:\n        os.fstat(n)\n"
    "        print(n)\n    except OSError as error:\n        print(n, error)\nprint(input())",
    "library after all": "exec('imp' + 'ort math, heapq')\nprint(math.pi, heapq, input())",
    "builtins": "print(sorted(dir(__builtins__)), len([]), int('7'), input())",
    "limits": "import resource\n"
    "print([resource.getrlimit(n) for n in range(10)], resource.RLIMIT_AS, input())",
}
HOSTILE = {
    "memory": "x = [0] * 20_000_000\nx.append(x)\nprint(len(x))",
    "all memory": "x = bytearray(1 << 30)",
    "recursion": "import sys\nsys.setrecursionlimit(50_000)\ndef f(n): return f(n + 1)\nf(0)",
    "globals": "import builtins\nfor name in dir(builtins):\n"
    "    if name not in ('setattr', 'print', 'object'): setattr(builtins, name, print)",
    "modules": "import sys, os, random, math\nos._exit = print\nmath.pi = 3\nrandom.seed(1)\n"
    "sys.modules['heapq'] = None\nsys.meta_path.clear()\nsys.excepthook = print",
    "sys": "import sys\nsys.setrecursionlimit(60)\nsys.stdout = None\nsys.setswitchinterval(9)\n"
    "sys.set_int_max_str_digits(700)\nsys.settrace(print)",
    "threads": "import threading\nfor _ in range(9):\n    threading.Thread(target=print).start()",
    "open files": "import os\nkept = [open(os.__file__) for _ in range(99)]",
    "closed files": "import os\nos.closerange(0, 99)",
    "signals": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n"
    "signal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.pthread_sigmask(0, {14, 17})",
    "gc": "import gc, ctypes\ngc.disable()\ngc.set_threshold(1)\ngc.callbacks.append(print)\n"
    "for one in gc.get_objects():\n    try:\n        if isinstance(one, dict): one.clear()\n"
    "        if isinstance(one, list): one.append('left')\n    except BaseException: pass",
    "frames": "import sys, ctypes\nframe = sys._getframe()\nwhile frame:\n"
    "    for one in [*frame.f_locals.values(), *frame.f_globals.values()]:\n"
    "        for part in [one, *vars(one).values()] if hasattr(one, '__dict__') else [one]:\n"
    "            if isinstance(part, (ctypes.Structure, ctypes._SimpleCData)):\n"
    "                ctypes.memset(ctypes.addressof(part), 255, ctypes.sizeof(part))\n"
    "    frame = frame.f_back",
    "environment": "import os, time\nos.environ['LEFT'] = 'here'\nos.environ['TZ'] = 'XYZ9'\n"
    "time.tzset()\nimport locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "crash": "import ctypes\nctypes.string_at(0)",
    "exit": "import os\nprint('x' * 5000, flush=True)\nos._exit(0)",
    "flood": "while True: print('x' * 10_000)",
    "stdin": "import os\nos.lseek(0, 0, 2)\nprint(os.dup(0), os.dup(1))",
    "no program": "x = " + "[" * 5000,
    "a text that is slow to compile": "x = " + "+".join(["1"] * 20_000),
}
HOSTILE_INPUTS = ["99999999999", "", "\ud800", "9" * 5000, "nan\n" * 50]


def generated() -> Iterator[Run]:
    """160 generated programs of every level, with ten inputs each."""
    keys = item_keys("abd", "isolation", 0, range(40))
    for level in ("micro", "easy", "medium", "hard"):
        for key in keys:
            draft = make_program(level, DEFAULTS[level], key)
            stream = Stream(key + b"inputs")
            for _ in range(10):
                yield draft.text, draw_input(draft.shape, stream)


def recorded() -> Iterator[Run]:
    """40 of CRUXEval's functions, each with the inputs of ten of them."""
    with benchmark("cruxeval/cruxeval.jsonl").open() as file:
        rows = [json.loads(line) for line, _ in zip(file, range(50), strict=False)]
    for place, row in enumerate(rows[:40]):
        program = cruxeval_program(row["code"])
        for other in rows[place : place + 10]:
            yield program, other["input"] + "\n"


def told(results: list[Result | None]) -> list[tuple[object, ...]]:
    assert None not in results
    return [(r.status, r.exit_code, r.stdout, r.stderr) for r in results if r]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2) as sandbox:
        yield sandbox


def test_results_are_the_same_alone_and_among_hostile_neighbours(sandbox: Sandbox) -> None:
    runs = [*generated(), *recorded()]
    assert len(runs) >= 2000 and len({program for program, _ in runs}) >= 190
    runs += [(program, f"{n}\n") for program in TELLING.values() for n in (3, 10)]
    with Sandbox(1) as lonely:
        alone = told([lonely.run(program, stdin) for program, stdin in runs])
    hostile = [(program, "5\n") for program in HOSTILE.values()]
    hostile += [(program, text) for program, _ in runs[::200] for text in HOSTILE_INPUTS]
    order = [*range(len(runs)), *(-1 for _ in range(4 * len(hostile)))]
    random.Random(0).shuffle(order)
    coins = random.Random(1)
    crowd = [runs[place] if place >= 0 else coins.choice(hostile) for place in order]
    sandbox.run_many([("while True: pass", "")] * 2, Limits(wall_s=0.1))
    together = told(sandbox.run_many(crowd))
    for place, found in zip(order, together, strict=True):
        assert place < 0 or found == alone[place], runs[place]
    assert sandbox.counts["restarts"] == 0


REACH = """
import ctypes, gc, sys
found, frame = list(gc.get_objects()), sys._getframe()
while frame:
    found += [*frame.f_locals.values(), *frame.f_globals.values()]
    frame = frame.f_back
for one in [x for x in found if hasattr(x, '__dict__')]:
    found += vars(one).values()
parts = [x for x in found if isinstance(x, (ctypes.Structure, ctypes._SimpleCData))]
buffers = {(ctypes.addressof(x), ctypes.sizeof(x)) for x in parts}
"""
LEAVE = REACH + "for at, size in buffers:\n    ctypes.memmove(at, b'left'.ljust(size), size)"
LOOK = REACH + (
    "print(len(buffers) > 3, [at for at, size in buffers if b'left' in ctypes.string_at(at, size)])"
)


def test_a_run_leaves_no_bytes_to_another(sandbox: Sandbox) -> None:
    for _ in range(3):
        before, _, after = sandbox.run_many([(LOOK, ""), (LEAVE, ""), (LOOK, "again")])
        assert before is not None and after is not None
        assert before.stdout == after.stdout == b"True []\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into these processes")
def test_no_run_shares_a_page_or_a_file_with_another() -> None:
    program = "import time\nprint(input(), flush=True)\ntime.sleep(1)"
    seen: dict[int, tuple[set[str], set[int]]] = {}
    others = set(servers())
    with Sandbox(1) as sandbox:
        (server,) = set(servers()) - others
        batch = [(program, "1"), (program, "2")]
        thread = threading.Thread(target=sandbox.run_many, args=(batch,))
        thread.start()
        while thread.is_alive():
            for pid in runs_of(server)[1:]:  # the first is the template
                with contextlib.suppress(OSError):
                    pages, files = shared_with(pid)
                    if len(files) == 3:
                        seen[pid] = pages, files
            time.sleep(0.01)
    (pages, files), (other_pages, other_files) = seen.values()
    assert len(pages) == len(other_pages) == 1
    assert not pages & other_pages and not files & other_files


def shared_with(pid: int) -> tuple[set[str], set[int]]:
    """The inodes of a process's pages that can be written and are shared, and of its files."""
    maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    files = {entry.stat().st_ino for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return {fields[4] for fields in maps if fields[1].startswith("rw-s")}, files
