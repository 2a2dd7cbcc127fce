"""The evaluator of plain programs: as Python has it, bounded, and closed to all else."""

import sys
import time

import pytest

from datagen.keys import item_key
from datagen.programs.knobs import DEFAULTS
from datagen.programs.make import make_program
from reward_fns.evaluator.run import run_program, why_not_evaluable
from reward_fns.program_runs import run_all

INPUTS = (
    "7\n3 1 4 1 5 9 2\nabcabc\n12\n", "3 4\n5 6 7 8\n9 8 7 6\n", "ab cde ba\n4 4 2 9 1\ncabbac\n",
    "4 6\n-3 7 200 41\n10 20 30 40\n1 2 3 4\n", "dcba\n1 2\n3\n", "15 2 8\n6 6 6 6 6\n",
)  # fmt: skip

PROGRAM_TEXTS = """\
print(1, 2.5, 'a', [1, 'b'], {'k': (1,)}, {3}, None, True, sep='-', end='!')
---
a = [3, 1, 2]
b = a
b += [4]
a.sort(reverse=True)
print(a, b, a is b, a[1:], a[::-1], 3 in a, [x * 2 for x in a if x > 1])
---
def f(x, y=2):
    global calls
    calls += 1
    return x * y
calls = 0
print(f(1), f(2, 3), f(x=4), list(map(f, [1, 2])), calls)
---
def outer(n):
    def inner(m):
        return m + n
    return inner
print(outer(2)(3), (lambda a, b=1: a - b)(5))
---
x = 5
def f():
    print(x)
    x = 1
f()
---
a, *b, (c, d) = range(5), 6, 7, (8, 9)
a2, b2 = b2, a2 = 1, 2
print(list(a), b, c, d, a2, b2)
---
for i in range(5):
    if i == 3:
        break
else:
    print('no')
while i:
    i -= 1
    if i == 1:
        continue
    print(i)
else:
    print('done')
---
d = {}
for word in 'a b a c'.split():
    d[word] = d.get(word, 0) + 1
del d['c']
print(sorted(d.items(), key=lambda kv: (-kv[1], kv[0])), max(d, key=d.get), len(d), d == {'a': 2})
---
print(f'{3.14159:.2f} {7:>3} {"x"!r}', 7 // -2, -7 % 3, 2 ** 10, 2 ** -1, divmod(9, 4), round(2.5))
---
print(sum([[1], [2]], []), min(3, 1), max('abc'), any([0, 1]), all([]), abs(-3), sum((1, 2), 3))
---
print(list(zip('ab', [1, 2, 3])), list(enumerate('ab', 1)), list(reversed([1, 2])), int('-7'))
---
print('a-b'.split('-'), ' x '.strip(), 'ab'.upper(), 'abc'.replace('b', 'xx'), '7'.zfill(3))
---
print(1 < 2 < 3, 1 if [] else 2, not 0, 0 or 'z', '' and 1, isinstance(True, int), {1, 2} | {3})
---
g = (print(x) or x for x in [1, 2, 3])
print(any(x > 1 for x in g))
---
total = 0
for a, (b, c) in [(1, (2, 3))]:
    total += a * b * c
m = [[0] * 2 for _ in range(2)]
m[1][0] += 5
m[0][0:1] = [7, 8]
print(total, m, (m, ), str([1, 'a']), repr('é\\n'), bool([]), float('1e3'), int(7.9))
---
print(input('? '), input())
print(input())
print(input())
---
print(int(input()))
---
[].pop()
---
print('before')
assert 1 == 2
---
print(1 / 0)
---
print(undefined)
---
print('a' + 1)
---
print(chr(0xd800))
---
a, b = [1, 2, 3]
---
def f():
    return
print(f(), f)if 0 else print(f())
"""


@pytest.mark.parametrize("program", PROGRAM_TEXTS.split("---\n"))
def test_a_program_prints_what_it_prints_in_python(program):
    stdin = "3 4\r\nfive\x0b\rsix"
    (outcome,) = run_all([(program, stdin)])
    assert why_not_evaluable(program) is None
    assert run_program(program, stdin) == (outcome.stdout if outcome.status == "ok" else None)


@pytest.mark.parametrize("level", DEFAULTS)
def test_generated_programs_print_what_they_print_in_python(level):
    programs = [
        make_program(level, DEFAULTS[level], item_key("abd", level, 5, index)).text
        for index in range(100)
    ]
    assert [why for program in programs if (why := why_not_evaluable(program))] == []
    runs = [(program, stdin) for program in programs for stdin in INPUTS]
    outcomes = run_all(runs)
    expected = [outcome.stdout if outcome.status == "ok" else None for outcome in outcomes]
    assert [run_program(*run) for run in runs] == expected
    assert sum(text is not None for text in expected) > 60


BOMB_TEXTS = """\
while True: pass
---
print(10 ** 10 ** 9)
---
x = 2
for i in range(10 ** 6): x = x * x
---
s = 'x'
while True: s += s
---
print('x' * 10 ** 12)
---
print([0] * 10 ** 12)
---
print(1 << 10 ** 12)
---
print(list(range(10 ** 12)))
---
print(sum(range(10 ** 12)))
---
print('a' in range(10 ** 12))
---
a, *b = range(10 ** 12)
---
print(*range(10 ** 12))
---
a = [1]
for i in range(100): a = [a, a]
print(a)
---
a = (1,)
for i in range(100): a = (a, a)
print({a: 1})
---
a = b = (1,)
for i in range(100):
    a = (a, a)
    b = (b, b)
print(a == b, a in [b])
---
def f(n): return f(n + 1)
f(0)
---
a = []
a.append(a)
print(a)
---
a = [1]
for x in a: a.append(x)
---
print('1'.zfill(10 ** 12), '1'.center(10 ** 12))
---
s = 'a' * 1000
for i in range(9): s = s.replace('a', 'aaaaaaaaaa')
---
print(('a' * 10000).join(['b'] * 100000))
---
w = 10 ** 9
print(f'{1:{w}}')
---
print(round(5, -10 ** 10))
---
print(pow(3, 10 ** 1000, 10 ** 1000))
---
s = 'a' * 100000
while True: s.count('a')
---
g = [1]
for i in range(100000): g = map(int, g)
print(list(g))
---
a = []
for i in range(50000): a = [a]
print(a)
---
for i in range(10 ** 6): print('x' * 10 ** 5)
---
print(sum(x for x in range(10 ** 12)))
---
print(len([1 for a in range(10 ** 6) for b in range(10 ** 6) if 0]))
"""


@pytest.mark.parametrize("program", BOMB_TEXTS.split("---\n"))
def test_what_a_run_may_do_is_bounded(program):
    before = sys.getrecursionlimit()
    start = time.monotonic()
    assert run_program(program, "1\n") is None
    assert time.monotonic() - start < 5
    assert sys.getrecursionlimit() == before


def test_recursion_goes_as_deep_as_it_may_from_any_depth():
    program = (
        "def f(n): return 0 if n == 0 else max([f(n - 1) for _ in range(1)]) + 1\nprint(f({}))"
    )

    def deep(levels: int) -> str | None:
        return deep(levels - 1) if levels else run_program(program.format(290), "")

    assert deep(600) == "290\n"
    assert run_program(program.format(400), "") is None


@pytest.mark.parametrize(
    "program",
    ["import os", "from os import path", "class A: pass", "try:\n    x = 1\nexcept: pass",
     "().__class__",
     "eval('1')", "exec('1')", "open('x')", "__import__('os')", "getattr(1, 'real')", "globals()",
     "'{0.__class__}'.format(1)", "''.format_map({})", "print((lambda *a: a)())", "with a: pass",
     "def f():\n    yield 1", "@f\ndef g(): pass", "a.b = 1", "b'1'", "f(**{})", "print(f'{1!a}')",
     "def f(\x00): pass", "print(", "(" * 5000 + ")" * 5000, "x = 1 #" + "a" * 20_000,
     "type(1)", "vars()", "raise ValueError", "async def f(): pass", "(x := 1)", "1j",
     "breakpoint()"],
)  # fmt: skip
def test_a_program_that_needs_more_is_refused_before_it_runs(program):
    assert why_not_evaluable(program)
    assert run_program(program, "") is None


@pytest.mark.parametrize(
    "program",
    ["print(__builtins__)", "print('%d' % 3)", "print([].join([]))", "[].append.__self__",
     "print((1).real)",
     "print(len.__name__)", "print(isinstance(1, len))",
     "x = [1]\nx.sort(key=lambda y: x.append(1))"],
)  # fmt: skip
def test_what_is_seen_only_as_it_runs_ends_it(program):
    assert run_program(program, "") is None
