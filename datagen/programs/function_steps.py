"""Steps that write a function of their own and call it: plain ones, and recursion."""

from collections.abc import Sequence

from datagen.programs.expressions import Expr, condition, grown
from datagen.programs.scope import Builder, Var
from datagen.programs.steps import step


def _define(b: Builder, head: str, body: Sequence[str]) -> None:
    """Put a function above the program."""
    b.functions.append([head, *(f"    {line}" for line in body), ""])


@step("ints", depth=1, levels="medium hard", weight=3)
def applied(b: Builder, var: Var) -> None:
    """A function of one number, applied to each element."""
    b.use(var)
    name, x = b.name("convert", "step", "shift", "adjust"), b.local("x", "v", "num")
    out = b.name("res", "mapped", "after")
    element = Expr("x", var.low, var.high)
    first, second = (grown(b.stream, [element], b.stream.between(1, 2), 10**5) for _ in range(2))
    test = condition(b.stream, element)
    _define(
        b, f"def {name}(x):", [f"if {test}:", f"    return {first.text}", f"return {second.text}"]
    )
    b.line(f"{out} = [{name}({x}) for {x} in {var.name}]")
    low, high = min(first.low, second.low), max(first.high, second.high)
    b.add(Var("ints", out, low, high, var.min_size, var.max_size))


@step("int", depth=1, levels="medium hard")
def greatest_divisor(b: Builder, var: Var) -> None:
    """Euclid's algorithm, recursive, on the number and another."""
    b.use(var)
    others = [other for other in b.variables if other.kind == "int" and other.name != var.name]
    name, out = b.name("gcd", "common"), b.name("g", "divisor")
    number = str(b.stream.choice((360, 420, 504, 720)))
    other = b.stream.choice(others).magnitude if others else number
    _define(b, f"def {name}(a, b):", ["if b == 0:", "    return a", f"return {name}(b, a % b)"])
    b.line(f"{out} = {name}({var.magnitude}, {other})")
    b.line(f"{out} = {out} * {b.stream.between(2, 9)} + {var.name} % {b.stream.between(5, 30)}")
    b.add(Var("int", out, 0, 10**7))


@step("int", depth=1, levels="hard", weight=5)
def memoised(b: Builder, var: Var) -> None:
    """A recursion with a memo on a number, with several cases."""
    b.use(var)
    name, memo, out = b.name("f", "ways", "solve"), b.name("memo", "cache"), b.name("r", "found")
    modulus, a = b.stream.choice((97, 101, 1009)), b.stream.between(1, 4)
    far, divisor = b.stream.between(2, 3), b.stream.between(2, 3)
    step_one = f"{name}(n - 1)" if a == 1 else f"{a} * {name}(n - 1)"
    _define(
        b,
        f"def {name}(n):",
        [
            f"if n < {far}:",
            f"    return n + {b.stream.between(1, 4)}",
            f"if n not in {memo}:",
            f"    if n % {divisor} == 0:",
            f"        {memo}[n] = ({name}(n // {divisor}) + n) % {modulus}",
            "    else:",
            f"        {memo}[n] = ({step_one} + {name}(n - {far})) % {modulus}",
            f"return {memo}[n]",
        ],
    )
    b.line(f"{memo} = {{}}")
    b.line(f"{out} = {name}({var.magnitude} % {b.stream.choice((60, 100, 150))})")
    b.add(Var("int", out, 0, modulus + 10))


@step("ints", depth=1, levels="hard", weight=4)
def recursive_fold(b: Builder, var: Var) -> None:
    """A recursion over a list: its first element and the rest, or its two halves."""
    b.use(var)
    name, out = b.name("fold", "combine", "merge"), b.name("root", "value", "folded")
    modulus, a = b.stream.choice((97, 211, 1009)), b.stream.between(2, 9)
    if b.stream.chance(0.5):
        sign = b.stream.choice(("+", "-"))
        body = ["if not seq:", f"    return {b.stream.between(0, 9)}"]
        body += [f"return (seq[0] {sign} {a} * {name}(seq[1:])) % {modulus}"]
    else:
        body = ["if len(seq) == 1:", "    return seq[0]", "mid = len(seq) // 2"]
        body += [f"left, right = {name}(seq[:mid]), {name}(seq[mid:])"]
        body += ["if left > right:", f"    return (left * {a} - right) % {modulus}"]
        body += [f"return (left + right * {a}) % {modulus}"]
        if not var.min_size:
            b.line(f"{var.name} = {var.name} or [0]")
    _define(b, f"def {name}(seq):", body)
    b.line(f"{out} = {name}({var.name})")
    b.add(Var("int", out, min(0, var.low), max(modulus, var.high)))


@step("str", depth=1, levels="hard", weight=4)
def recursive_text(b: Builder, var: Var) -> None:
    """A recursion over a text that turns parts of it around."""
    b.use(var)
    name, out = b.name("twist", "weave", "encode"), b.name("woven", "twisted", "t")
    inner = b.stream.choice(
        (
            [f"return {name}(s[half:]) + {name}(s[:half])"],
            [f"return {name}(s[1::2]) + {name}(s[::2])"],
            [
                "if s[0] < s[-1]:",
                f"    return s[-1] + {name}(s[1:-1]) + s[0]",
                f"return s[0] + {name}(s[1:-1][::-1]) + s[-1]",
            ],
            [
                "if s[0] in 'aeiou':",
                f"    return {name}(s[1:]) + s[0]",
                f"return s[0] + {name}(s[1:])",
            ],
        )
    )
    half = ["half = len(s) // 2"] if "half" in inner[0] else []
    _define(b, f"def {name}(s):", ["if len(s) < 2:", "    return s", *half, *inner])
    b.line(f"{out} = {name}({var.name})")
    b.add(Var("str", out, min_size=var.min_size, max_size=var.max_size))
