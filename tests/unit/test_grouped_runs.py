"""Plain programs may share a process: which they are, and that each run is as it would be alone."""

import json

import pytest

from datagen.config import AbdConfig
from datagen.dataset import build_dataset, read_split
from reward_fns.grouped_runs import run_grouped
from reward_fns.plain_programs import is_plain
from reward_fns.program_runs import configure_runs, run_all
from reward_fns.sandbox import Limits, shared_sandbox

PLAIN = [
    "n = int(input())\nprint(n * 3 + 4)",
    "xs = list(map(int, input().split()))\nprint(*sorted(xs)[::-1], sep=',')",
    "def f(n):\n    return 1 if n < 2 else n * f(n - 1)\n\nprint(f(int(input())))",
    "counts = {}\nfor c in input():\n    counts[c] = counts.get(c, 0) + 1\nprint(counts)",
    "try:\n    print(int(input()))\nexcept ValueError as error:\n    print('no number')",
    "s = input()\nprint(f'{s.upper():>5}', s.replace('a', 'b'), ''.join(c for c in s if c != 'x'))",
    "if __name__ == '__main__':\n    print(max(input().split(), key=len))",
]
REACHING_OUT = [
    "import sys\nprint(sys.stdin.read())",
    "from os import getpid\nprint(getpid())",
    "print(eval(input()))",
    "exec(input())",
    "print(open('/etc/passwd').read())",
    "print(getattr(print, '__self__'))",
    "print.__self__.input = lambda: '5'",
    "print(().__class__.__base__.__subclasses__())",
    "print('{0.__class__}'.format(1))",
    "print('{x.real}'.format_map({'x': 1}))",
    "__builtins__['input'] = lambda: '5'",
    "globals()['x'] = 1",
    "print((x for x in []).gi_frame.f_builtins)",
    "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    print(e.__traceback__.tb_frame)",
    "class A:\n    def __del__(self): print('later')\na = A(); b = [a]; b.append(b)",
    "def g():\n    try:\n        yield\n    finally:\n        print('later')\nx = g(); next(x)",
    "def __import__(name): pass",
    "try:\n    pass\nexcept ValueError as __builtins__:\n    pass",
    "def f(__builtins__): pass",
    "lambda __x: 1",
    "global __builtins__",
    "type('A', (), {})",
    "x = __loader__",
    "import(",
    "print(1)\0",
    "x = " + "(" * 5000 + ")" * 5000,
    "#" * 30_000,
]


@pytest.fixture(autouse=True)
def default_settings():
    configure_runs()
    yield
    configure_runs()


@pytest.mark.parametrize("program", PLAIN)
def test_what_only_computes_is_plain(program):
    assert is_plain(program)


@pytest.mark.parametrize("program", REACHING_OUT)
def test_what_could_reach_another_run_is_not_plain(program):
    assert not is_plain(program)


def test_no_run_leaves_anything_to_the_next():
    runs = [
        ("print = 5\nx = 1\ninput = int", ""),
        ("print(input())", "a\n"),
        ("try:\n    print(x)\nexcept NameError:\n    print('clean')", ""),
        ("def f(n):\n    return f(n + 1)\nf(0)", ""),
        ("print(input(), input())", "1\n2\n3\n"),
        ("print(input())", "b\n"),
    ]
    assert run_grouped(runs, Limits()) == [
        "", "a\n", "clean\n", None, "1 2\n", "b\n",
    ]  # fmt: skip


def outcomes(runs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    configure_runs()
    return [(o.status, o.stdout) for o in run_all(runs) if o]


def test_runs_together_are_as_they_are_alone(tmp_path):
    levels = [{"level": level} for level in ("micro", "easy", "medium", "hard")]
    config = AbdConfig.model_validate(
        {"programs": {"type": "procedural", "levels": levels}, "splits": {"test": 24}}
    )
    build_dataset(config, tmp_path / "abd", seed=5)
    programs = [json.loads(row.env)["program"] for row in read_split(tmp_path / "abd", "test")]
    inputs = ["3\n", "2 5\n", "\n", "", "x y z\n", "1\n2 3\n4 5 6\n", "-1\r\n7\r8\n", "é\t\n"]
    runs = [(program, stdin) for program in [*programs, *PLAIN] for stdin in inputs]
    together = outcomes(runs)
    alone = [outcome for run in runs for outcome in outcomes([run])]
    assert together == alone
    assert {"ok", "error"} <= {status for status, _ in together}


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("while True: pass", "timeout"),
        ("x = 'x' * (1 << 30)", "memory"),
        ("while True: print(1)", "output"),
        ("print('x' * 2_000_000)", "output"),
        ("exit()", "error"),
        ("1 / 0", "error"),
        ("print('\\ud800')", "error"),
    ],
)
def test_one_that_does_not_end_well_harms_no_other(program, status):
    configure_runs(Limits(wall_s=3.0, cpu_s=1))
    good = [("print(int(input()) + 1)", f"{n}\n") for n in range(20)]
    found = run_all([*good[:10], (program, ""), *good[10:]])
    assert [o.status for o in found if o] == ["ok"] * 10 + [status] + ["ok"] * 10
    assert [o.stdout for o in found if o and o.status == "ok"] == [f"{n + 1}\n" for n in range(20)]


def test_a_batch_takes_few_processes():
    before = sum(shared_sandbox().counts.values())
    runs = [("print(int(input()) + 2)", f"{n}\n") for n in range(300)]
    assert [o.stdout for o in run_all(runs) if o] == [f"{n + 2}\n" for n in range(300)]
    assert sum(shared_sandbox().counts.values()) - before < 12
