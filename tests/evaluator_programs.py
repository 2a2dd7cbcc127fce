"""Programs on which the evaluator is compared with Python: generated ones, mutated, and fuzzed.

The comparison itself, on as many as one likes:

    python -m tests.evaluator_programs 20000
"""

import random
import re
import sys

from datagen.keys import item_key
from datagen.programs.inputs import draw_input
from datagen.programs.knobs import DEFAULTS
from datagen.programs.make import make_program
from datagen.stream import Stream
from reward_fns.evaluator.run import run_program
from reward_fns.program_runs import run_all

Run = tuple[str, str]
BATCH = 2000
INPUTS = (
    "7\n3 1 4 1 5 9 2\nabcabc\n12\n", "3 4\n5 6 7 8\n9 8 7 6\n", "ab cde ba\n4 4 2 9 1\ncabbac\n",
    "4 6\n-3 7 200 41\n10 20 30 40\n1 2 3 4\n", "dcba\n1 2\n3\n", "15 2 8\n6 6 6 6 6\n",
    "1_0 ١ \x0b 7\r\n-0 +5\r2\n", f"0 {10 * (2**61 - 1)} {2**61 - 1}\n", "", "\n\n",
    "1e3 nan\n3.5\n",
)  # fmt: skip


def main() -> None:
    """Compare on so many runs, and tell where the evaluator differs; exit 1 if it does."""
    count, seed = int(sys.argv[1]), int(*sys.argv[2:3])
    found, num_answered = differences(runs(count, seed))
    for program, stdin, printed, expected in found[:20]:
        print(f"{program}\n-- on {stdin!r}: {printed!r}, not {expected!r}\n")
    print(f"{count} runs, {num_answered} answered, {len(found)} differ")
    sys.exit(bool(found))


def differences(given: list[Run]) -> tuple[list[tuple[str, str, str, str | None]], int]:
    """Return the runs on which the evaluator prints what Python does not.

    Also how many it answers; those that it refuses are not run in Python.
    """
    answers = [(run, printed) for run in given if (printed := run_program(*run)) is not None]
    found = []
    for start in range(0, len(answers), BATCH):
        batch = answers[start : start + BATCH]
        outcomes = run_all([run for run, _ in batch])
        for (run, printed), outcome in zip(batch, outcomes, strict=True):
            assert outcome is not None
            expected = outcome.stdout if outcome.status == "ok" else None
            if printed != expected:
                found.append((*run, printed, expected))
    return found, len(answers)


def runs(count: int, seed: int) -> list[Run]:
    """Return runs of each kind: a quarter generated, a quarter mutated, half fuzzed."""
    rng = random.Random(seed)
    made: list[Run] = []
    for index in range(count // 4):
        level = list(DEFAULTS)[index % len(DEFAULTS)]
        key = item_key("abd", level, seed, index)
        draft = make_program(level, DEFAULTS[level], key)
        own = draw_input(draft.shape, Stream(key + b"input"))
        made.append((draft.text, _spoiled(own, rng) if index % 3 else own))
        made.append((_mutated(draft.text, rng), own))
    while len(made) < count:
        made.append((Fuzzer(rng).program(), rng.choice(INPUTS)))
    return made


def _spoiled(stdin: str, rng: random.Random) -> str:
    """An input of another shape, or the same with another number in it."""
    if rng.random() < 0.3:
        return rng.choice(INPUTS)
    number = str(rng.choice((0, -1, 2, 9, 17, 300, 10**6, 2**61 - 1, 10**25)))
    return re.sub(r"-?\d+", lambda m: number if rng.random() < 0.2 else m.group(), stdin)


_OTHER_TOKENS = (
    ("==", "!="), ("<", ">="), ("+", "-"), ("-", "*"), ("*", "//"), ("%", "/"), ("//", "%"),
    ("+=", "-="), ("and", "or"), ("in", "not in"), ("sorted", "list"), ("set", "list"),
    ("list", "set"), ("max", "min"), ("sum", "len"), ("append", "extend"), ("int", "str"),
    ("str", "repr"), ("print", "sorted"), ("continue", "break"), ("break", "return"),
    ("if", "while"), ("range", "list"), ("==", "is"), ("return", "print"), ("map", "filter"),
    ("0", "-1"), ("1", "True"), ("2", "2.0"), ("[", "("), ("]", ")"), ("for", "if"),
)  # fmt: skip
_TOKEN = re.compile(r"\w+|[^\w\s]=?|//=?")


def _mutated(program: str, rng: random.Random) -> str:
    """A program with a few tokens exchanged, or with lines left out, doubled or moved."""
    for _ in range(rng.randint(1, 3)):
        lines = program.split("\n")
        place = rng.randrange(len(lines))
        form = rng.random()
        if form < 0.15:
            lines.insert(rng.randrange(len(lines)), lines.pop(place))
        elif form < 0.25:
            del lines[place]
        elif form < 0.35:
            lines.insert(place, lines[rng.randrange(len(lines))])
        elif form < 0.45:
            lines[place] = " " * rng.choice((0, 4, 8)) + lines[place].lstrip()
        else:
            tokens = list(_TOKEN.finditer(program))
            spots = [
                (match.span(), new)
                for match in tokens
                for old, new in _OTHER_TOKENS
                if match.group() == old
            ]
            if not tokens:
                break
            names = sorted({m.group() for m in tokens if m.group().isidentifier()})
            if rng.random() < 0.2 or not spots:
                match = rng.choice(tokens)
                spots = [(match.span(), rng.choice(names))]
            (start, end), new = rng.choice(spots)
            program = program[:start] + new + program[end:]
            continue
        program = "\n".join(lines)
    return program


class Fuzzer:
    """Writes programs of expressions that mostly fit together, aimed at where semantics hide."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names: dict[str, list[str]] = {"int": ["a"], "ints": ["xs"], "str": ["s"]}
        self.functions = ["f"]

    def program(self) -> str:
        """Return a program; what cannot be parsed is a program too, but rarely."""
        rng = self.rng
        lines = ["a = 3", "xs = [2, 0, 1]", "s = 'ab c'"]
        if rng.random() < 0.3:
            lines[rng.randrange(3)] = rng.choice(
                ("a = int(input())", "xs = list(map(int, input().split()))", "s = input()")
            )
        lines += self._function("f")
        for _ in range(rng.randint(1, 4)):
            lines += self._statement(rng.random() < 0.03, 1)
        kind = rng.choice(("int", "str", "ints", "dict", "any", "bool", "tuple"))
        lines.append(f"print({self.value(kind, 3)}, a, xs, s)")
        return "\n".join(lines)

    def _pick(self, *options: str) -> str:
        return self.rng.choice(options)

    def _function(self, name: str) -> list[str]:
        head = self._pick("n", "n, k=2", "n, n2=[]", f"n={self.value('int', 1)}")
        if self.rng.random() < 0.03:
            head = self._pick("*n", "n: int", "n, n", "n: undefined = 1")
        body = self._pick("pass", "global a", "global a", "x = 1", "a = 4", "xs.append(n)")
        inner: list[str] = []
        if self.rng.random() < 0.4:
            inner = [
                f"    def g({self._pick('', 'm=1', 'a=0')}):",
                f"        {self._pick('global a', 'pass', 'pass', 'x = 2')}",
                f"        {self._pick('a += 1', 'return a', 'return n', 'print(a)', 'return x')}",
                f"    {self._pick('g()', 'a = g()', 'print(g())', 'xs.append(g())')}",
            ]
        end = self._pick(
            "return n", "return a", "a = n", f"return {self.value('int', 2)}", "return"
        )
        return [f"def {name}({head}):", f"    {body}", *inner, f"    {end}"]

    def _statement(self, odd: bool, depth: int) -> list[str]:
        if odd:
            return [self._pick(*ODD_STATEMENTS)]
        form = self.rng.randrange(9 if depth else 6)
        kind = self._pick("int", "ints", "str", "dict", "set", "tuple", "any")
        if form == 0:
            op = self._pick("+=", "-=", "*=", "//=", "%=", "**=", "|=", "&=", "<<=")
            name = self._pick(*self.names.get(kind, ["a"]))
            return [f"{name} {op if self.rng.random() < 0.5 else '+='} {self.value(kind, 2)}"]
        if form == 1:
            place = self._pick("xs[0]", "xs[1:]", "xs[-1]", "xs[a % 3]", "xs[::2]", "a, xs[0]")
            if self.rng.random() < 0.3:
                return [self._pick(*LIST_STATEMENTS)]
            return [f"{place} = {self.value(self._pick('int', 'ints', 'tuple'), 2)}"]
        if form == 2:
            targets = self._pick("p, q", "p, *q", "*p, q", "(p, q)", "[p, q], a", "p, (q, a)")
            return [f"{targets} = {self.value(self._pick('tuple', 'ints', 'str', 'set'), 2)}"]
        if form in (3, 4):
            name = self._pick("u", "v", "w", "a", "xs", "s", "min", "int")
            lines = [f"{name} = {self.value(kind, 3)}"]
            if name in "uvw":
                self.names.setdefault(kind, []).append(name)
            return lines
        if form == 5:
            return [f"print({self._args(2)}{self._pick('', '', ', sep=s', ', end=s', ', file=s')})"]
        inner = [line for _ in range(self.rng.randint(1, 2))
                 for line in self._statement(self.rng.random() < 0.1, depth - 1)]  # fmt: skip
        heads = (
            f"for t in {self.value(self._pick('ints', 'str', 'dict', 'set', 'tuple', 'iter'), 2)}:",
            f"if {self.value('bool', 2)}:",
            "while a > 0:",
        )
        after = [f"    {self._pick('break', 'continue', 'pass', 'a -= 1')}"]
        block = [f"    {line}" for line in inner]
        if heads[form - 6].startswith("while"):
            return ["a %= 5", heads[2], "    a -= 1", *block]
        other = ["else:", "    print('else')"] if self.rng.random() < 0.2 else []
        return [heads[form - 6], *block, *(after if self.rng.random() < 0.2 else []), *other]

    def _args(self, depth: int) -> str:
        kinds = self.rng.choices(("int", "str", "ints", "any", "set", "dict", "tuple"), k=2)
        args = [self.value(kind, depth) for kind in kinds[: self.rng.randint(1, 2)]]
        return ", ".join("*" + arg if self.rng.random() < 0.1 else arg for arg in args)

    def value(self, kind: str, depth: int) -> str:
        """Return an expression of a kind, or rarely of another."""
        if kind == "any" or self.rng.random() < 0.03:
            kind = self._pick(*MAKERS)
        if kind in self.names and self.rng.random() < 0.3:
            return self._pick(*self.names[kind])
        if depth <= 0:
            return self._pick(*ATOMS[kind])
        return self._fill(self._pick(*MAKERS[kind]), depth)

    def _fill(self, form: str, depth: int) -> str:
        return re.sub(r"<(\w+)>", lambda m: self.value(m.group(1), depth - 1), form)


ODD_STATEMENTS = (
    "return", "break", "continue", "def f(a, a): pass", "x = y = *a", "nonlocal a", "*a, *b = xs",
    "a: int = 3", "global a", "f() = 1", "del a", "print(a := 3)", "assert xs, 1/0", "a.b = 1",
    "__name__ = 3", "print(__name__)", "x = (5).append", "__builtins__ = {}", "print('\\d')",
)  # fmt: skip
LIST_STATEMENTS = (
    "del xs[0]", "del xs[:1]", "xs.sort()", "xs.reverse()", "xs += xs", "xs.extend(xs)",
    "xs.extend(len(xs) for _ in range(3))", "xs += (len(xs) for _ in 'ab')",
)  # fmt: skip
ATOMS: dict[str, tuple[str, ...]] = {
    "int": ("0", "1", "-1", "2", "7", "10", "100", "True", "2**61-1", "10**20", "len(s)"),
    "float": ("0.5", "2.0", "-0.0", "1e300", "float('nan')", "float('inf')", "1e-7"),
    "str": ("''", "'a'", "'Ab1'", "'ß'", "'x y'", "'0'", "'é\\n'", "'１'", "'aXbXc'"),
    "bool": ("True", "False", "a", "not xs", "None"),
    "ints": ("[]", "[3, 1, 2]", "[1, True, 0]", "[-1] * 3", "list(range(4))", "[2, 2]"),
    "tuple": ("()", "(1, 2)", "(1, 'a')", "(3,)", "('a', (1, 2))"),
    "set": ("set()", "{1}", "{3, 1, 2}", "{True, 1}", "{'a', 'b'}", "{1.0, 1}"),
    "dict": ("{}", "{1: 2}", "{'a': 1, 'b': 2}", "{1: 'x', True: 'y'}"),
    "iter": ("map(int, '12')", "zip(xs, s)", "enumerate(s)", "(t for t in xs)", "reversed(xs)"),
    "fn": ("len", "int", "str", "abs", "print", "f", "lambda t: -t", "s.count", "lambda t, u=1: u"),
}
MAKERS: dict[str, tuple[str, ...]] = {
    "int": (
        "<int> + <int>", "<int> - <int>", "<int> * <int>", "<int> // <int>", "<int> % <int>",
        "(<int>) ** 2", "-(<int>)", "~(<int>)", "<int> << 3", "<int> >> 1", "<int> & <int>",
        "abs(<int>)", "len(<ints>)", "len(<set>)", "sum(<ints>)", "sum(<set>)", "max(<ints>)",
        "min(<int>, <int>)", "min(<int>, <int>, default=3)", "max(<set>)", "ord(<str>[0])",
        "int(<str>)", "int(<float>)", "round(<float>)", "divmod(<int>, <int>)[1]",
        "pow(<int>, 3, 7)", "<ints>[<int>]", "<tuple>[0]", "<dict>.get(<int>, <int>)",
        "<dict>[<int>]", "<str>.count(<str>)", "<str>.find(<str>)", "<ints>.index(<int>)",
        "f(<int>)", "f(<int>, <int>)", "f(n=<int>)", "<int> if <bool> else <int>",
        "sum(t * t for t in <ints>)", "xs.pop()", "(lambda t: t + 1)(<int>)", "<int>.bit_length()",
        "max(<ints>, key=<fn>)", "(<bool> or <int>)", "sum(<iter>)", "len({<int>, <int>})",
        "sum(<ints>, start=1)", "sum(<ints>, <int>)", "len(set(<str>))", "int(<str>, 16)",
        "sum([0.1] * 10)", "a.bit_length()", "int(<bool>)", "[t for t in <ints>][-1]",
    ),
    "float": ("<int> / <int>", "<float> * <int>", "float(<int>)", "round(<float>, 1)",
              "<float> + <float>", "<int> ** -1", "max(<float>, <int>)", "float(<str>)"),
    "str": (
        "<str> + <str>", "<str> * 2", "str(<any>)", "repr(<any>)", "<str>[<int>]", "<str>[::-1]",
        "<str>[<int>:<int>]", "<str>.upper()", "<str>.title()", "<str>.replace(<str>, <str>)",
        "<str>.join(<str>)", "', '.join(map(str, <ints>))", "<str>.strip(<str>)", "f'{<any>}'",
        "''.join(sorted(<str>))", "''.join(<iter>)", "f'{<int>!s:>5}|'", "f'{<int>:>5}|'",
        "f'{<float>:.2f}'", "f'{<str>!r:<8}|'", "f'{<int>:n}'", "f'{<int>:,}'", "f'{<any>!r}'",
        "f'{<int>:{a}}'", "<str>.zfill(5)", "<str>.center(7, '*')", "chr(97 + <int>)",
        "hex(<int>)", "bin(<int>)", "str(<set>)", "f'{<fn>}'", "<str>.split()[0]",
        "<str>.partition('a')[2]", "'-'.join(<dict>)", "str(1, 2)", "input()", "<str>.swapcase()",
    ),
    "bool": (
        "<int> == <int>", "<str> == <str>", "<int> < <int>", "<int> < <int> <= <int>",
        "<any> is None", "<str> is <str>", "<int> is <int>", "<any> is not <any>", "<int> is True",
        "<ints> == <ints>", "<int> in <ints>", "<int> in <set>", "<str> in <str>", "<any> in <any>",
        "<int> not in <dict>", "not <any>", "<bool> and <any>", "all(<ints>)", "any(<iter>)",
        "isinstance(<any>, int)", "isinstance(<any>, (str, bool))", "isinstance(<int>, f)",
        "<set> == <set>", "<set> <= <set>", "<tuple> < <tuple>", "<any> == <any>", "<fn> == <fn>",
        "<str>.isdigit()", "<str>.startswith(<str>)", "<dict> == <dict>", "<set>.issubset(<ints>)",
        "bool(<any>)", "<iter> == <iter>", "<int> in range(<int>)", "<float> == <int>",
        "int == int", "<dict>.keys() == <dict>.keys()",
    ),
    "ints": (
        "sorted(<ints>)", "sorted(<set>)", "list(<set>)", "<ints> + <ints>", "<ints> * 2",
        "<ints>[::-1]", "<ints>[<int>:]", "[t + 1 for t in <ints>]", "[t for t in <ints> if t]",
        "[t * u for t in <ints> for u in <ints>]", "list(map(<fn>, <ints>))", "list(range(<int>))",
        "sorted(<ints>, key=<fn>)", "sorted(<set>, key=<fn>)", "list(filter(<fn>, <ints>))",
        "list(<tuple>)", "[*<ints>, <int>]", "list(reversed(<ints>))",
        "sorted(<ints>, reverse=<bool>)",
        "list({<int>: 1, <int>: 2})", "[t for t in <set>]", "list(<dict>.values())",
        "[<int>, <int>]",
        "[len(t) for t in <str>.split()]", "list(zip(<ints>, <ints>))", "list(enumerate(<str>, 1))",
        "[(lambda: t)() for t in <ints>]", "[g() for g in [lambda: t for t in <ints>]]",
        "list(<iter>)",
        "[a for a in <ints>]", "list(dict(zip(<ints>, <ints>)).items())", "list(<set> & <set>)",
        "list(enumerate(values=<ints>))", "sorted(<tuple>)", "list(map(<fn>, <ints>, <ints>))",
    ),
    "tuple": (
        "(<any>, <any>)", "<tuple> + <tuple>", "tuple(<ints>)", "tuple(<set>)", "tuple(<str>)",
        "(*<ints>, <int>)", "divmod(<int>, <int>)", "<tuple>[::-1]", "(print(1), print(2))",
        "tuple(t for t in <iter>)", "<str>.partition(<str>)", "min((<int>, 1), (<int>, 2))",
    ),
    "set": (
        "set(<ints>)", "{<int>, <int>}", "{t % 3 for t in <ints>}", "<set> | <set>",
        "<set> & <set>",
        "<set> - <set>", "<set> ^ <set>", "set(<str>)", "frozenset(<ints>)", "<set>.union(<ints>)",
        "set(<dict>)", "{<tuple>, <tuple>}", "<set>.intersection(<set>)", "set(<iter>)",
        "{frozenset(<ints>), frozenset(<set>)}", "{<any>}",
    ),
    "dict": (
        "{<int>: <any>, <int>: <any>}", "{t: t * t for t in <ints>}", "dict(zip(<ints>, <str>))",
        "{<str>: <any>}", "{print('k'): print('v'), print('k2'): print('v2')}", "dict(a=<int>)",
        "<dict> | <dict>", "dict(<dict>)", "{t: u for t, u in enumerate(<str>)}", "<dict>.copy()",
        "{f(1): f(2), f(3): f(4)}", "{**<dict>}", "{<tuple>: 1}", "dict([(<int>, <any>), <tuple>])",
    ),
    "iter": (
        "map(<fn>, <ints>)", "zip(<ints>, <str>)", "enumerate(<ints>)", "(t + 1 for t in <ints>)",
        "filter(None, <ints>)", "reversed(<ints>)", "map(int, <int>)", "zip(<int>)",
        "<dict>.items()",
        "filter(<fn>, <int>)", "(t for t in <int>)", "<dict>.keys()", "map(lambda t: t, <set>)",
    ),
    "fn": (
        *ATOMS["fn"], "lambda t: <any>", "lambda t: t % 3", "<str>.upper", "<ints>.append", "<any>",
    ),
}  # fmt: skip


if __name__ == "__main__":
    main()
