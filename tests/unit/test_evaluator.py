"""The evaluator of plain programs: as Python has it, bounded, and closed to all else."""

import sys

import pytest

from datagen.keys import item_key
from datagen.programs.knobs import DEFAULTS
from datagen.programs.make import make_program
from reward_fns.evaluator.run import run_program, why_not_evaluable
from reward_fns.program_runs import run_all
from tests.evaluator_programs import INPUTS, differences, runs

PROGRAM_TEXTS = """\
print(1, 2.5, 'a', [1, 'b'], {'k': (1,)}, {3}, None, True, sep='-', end='!')
---
a = [3, 1, 2]
b = a
b += [4]
a.sort(reverse=True)
print(a, b, a is None, a[1:], a[::-1], 3 in a, [x * 2 for x in a if x > 1])
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
print(1 < 2 < 3, 1 if [] else 2, not 0, 0 or 'z', '' and 1, isinstance(True, int))
print(sorted({1, 2} | {3}))
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
---
def show(x):
    print(x)
    return x
print({show(1): show(2), show(3): show(4)}, {show(k): show(-k) for k in (1, 2)})
---
def a():
    x = 1
    def b():
        global x
        def c():
            return x
        return c()
    return b()
x = 'of the program'
print(a())
---
a = [0]
a.extend(len(a) for _ in range(3))
a += (len(a) for _ in range(3))
print(a, f'{5!s:>3}|{5!s:3}|', sorted({3, 1, 2}), max({'b', 'a'}), sum({1, 2}), {1, True})
---
def f(n):
    return 1 + max([f(n - 1) for _ in range(1)]) if n else 0
print(f(290))
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


REFUSED_TEXTS = """\
print({3, 1, 2**61})
---
for x in {'a', 'b'}: print(x)
---
print(list({1, 9, 17}), *set('ab'))
---
print({5, 13}.pop(), max({1, -1}, key=abs), sorted({2, -2}, key=abs))
---
print('ab' is 'a' + 'b', 300 is 299 + 1)
---
print(int, [len], {1: 'a'.upper}, map(int, '1'))
---
print(len == len, len in [len], {len: 1})
---
print(1)
return
---
print(1)
break
---
def f(a, a): return 1
print(f(1, 2))
---
def f():
    print(x)
    global x
print(1)
---
print(1)
if 0:
    while 1: pass
    else: continue
---
x = map(int, 5)
print(1)
---
x = (5).append
print(1)
---
def f(x: undefined): return x
print(f(1))
---
def f(x) -> undefined: return x
print(f(1))
---
a, *b, *c = [1, 2]
print(1)
---
def int(x): return x
print(isinstance(3, int))
---
print(list(enumerate(values=[1])), min(1, 2, default=3))
---
print(sum([0.1] * 10))
---
print(f'{12345:n}')
---
d = {}
g = d.keys()
s = {1}
s.update(len(s) + x for x in range(3))
print(sorted(s))
---
__builtins__ = {}
print(1)
"""


@pytest.mark.parametrize("program", REFUSED_TEXTS.split("---\n"))
def test_what_is_not_done_exactly_as_python_does_it_is_refused(program):
    assert run_program(program, "") is None


def test_whatever_is_printed_is_what_python_prints():
    found, num_answered = differences(runs(2500, seed=3))
    assert found == []
    assert num_answered > 600


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
---
p = 2 ** 61 - 1
print(len(set(range(0, 10000 * p, p))))
---
p = 2 ** 61 - 1
print(len({x: 1 for x in range(0, 10000 * p, p)}), len({x * p for x in range(10000)}))
---
p = 2 ** 61 - 1
print(len(dict((x * p, 1) for x in range(10000))), frozenset(map(p.__mul__, range(10000))))
---
p = 2 ** 61 - 1
d = {}
for x in range(10000): d[(x * p, (x * p,))] = x
---
p = 2 ** 61 - 1
s = set()
for x in range(10000): s.add(float(2 ** x % 2 ** 900 * p))
for x in range(10000): s.add(x * p)
---
p = 2 ** 61 - 1
a = set(range(0, 300 * p, p))
while a == set(range(0, 300 * p, p)) or a | a: a.discard(-1)
---
a = b = ()
for i in range(60):
    a = (a, a)
    b = (b, b)
print(sorted([1, 2], key=lambda x: a if x == 1 else b), max([1, 2], key=lambda x: (a, b)[x - 1]))
---
a = ()
for i in range(60): a = (a, a)
print(dict([[a, 1]]), [a].count(a), {1: 2}.get(a))
---
a = 'a' * 50000
while True: (a + 'b').rfind('b' + a), a in a + 'b', a.strip(a)
---
s = 'a' * 2000
while True: s.count('a' * 999 + 'b')
---
a = [tuple(range(500))] * 500
while True: sorted(a), a.count(a[0]), a == a[:]
---
x = 3 ** 5000
while True: str(x)
"""


@pytest.mark.parametrize("program", BOMB_TEXTS.split("---\n"))
def test_what_a_run_may_do_is_bounded(program):
    before = sys.getrecursionlimit()
    assert run_program(program, "1\n") is None
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
