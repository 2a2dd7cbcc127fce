"""Steps on whole numbers: arithmetic, digits, divisors, sequences."""

from datagen.programs.expressions import condition, grown
from datagen.programs.scope import Builder, Var
from datagen.programs.steps import bounded, step


@step("int", weight=3)
def combine(b: Builder, var: Var) -> None:
    """An expression of one number, or of two."""
    others = [other for other in b.fresh if other.kind == "int" and other is not var]
    used = [var, b.stream.choice(others)] if others else [var]
    expr = grown(b.stream, [b.use(one).expr for one in used], 2, 10**5, 12)
    name = b.name("result", "total", "y", "score", "t")
    b.line(f"{name} = {expr.text}")
    b.add(Var("int", name, expr.low, expr.high))


@step("int", depth=1, weight=2)
def adjust(b: Builder, var: Var) -> None:
    """A number changes under a condition."""
    expr = var.expr
    first, second = (grown(b.stream, [expr], 1, 10**6, 9) for _ in range(2))
    with b.block(f"if {condition(b.stream, expr)}:"):
        b.line(f"{var.name} = {first.text}")
    low, high = min(expr.low, first.low), max(expr.high, first.high)
    if b.stream.chance(0.6) and second.text != first.text:
        with b.block("else:"):
            b.line(f"{var.name} = {second.text}")
        low, high = min(first.low, second.low), max(first.high, second.high)
    b.change(var, Var("int", var.name, low, high))


@step("int", depth=1, levels="easy medium")
def digit_sum(b: Builder, var: Var) -> None:
    """The sum, or a weighted sum, of the digits."""
    b.use(var)
    name, digit = b.name("digits", "total", "acc"), b.local("d", "digit", "c")
    b.line(f"{name} = 0")
    with b.block(f"for {digit} in str({var.magnitude}):"):
        if b.stream.chance(0.5):
            b.line(f"{name} += int({digit})")
            b.add(Var("int", name, 0, 63))
        else:
            factor = b.stream.between(2, 7)
            b.line(f"{name} = {name} * {factor} + int({digit})")
            b.add(Var("int", name, 0, 10 * factor**7))
    b.line(f"{name} += {var.name} % {b.stream.between(7, 50)}")


@step("int", depth=1, levels="medium hard")
def digit_walk(b: Builder, var: Var) -> None:
    """Take a number apart digit by digit, in a while loop."""
    b.use(var)
    rest, name, digit = b.name("rest", "left", "m"), b.name("rev", "acc", "code"), b.local("d", "r")
    base = b.stream.choice((10, 10, 2, 3, 7))
    b.line(f"{rest} = {var.magnitude}")
    b.line(f"{name} = 0")
    with b.block(f"while {rest} > 0:"):
        b.line(f"{digit} = {rest} % {base}")
        b.line(f"{name} = {name} * {b.stream.choice((2, 3, 10))} + {digit}")
        b.line(f"{rest} //= {base}")
    b.line(f"{name} %= {b.stream.choice((997, 1009, 10007))}")
    b.add(Var("int", name, 0, 10006))


@step("int", depth=2, levels="medium hard")
def collatz(b: Builder, var: Var) -> None:
    """Count the steps of a sequence until it comes to an end."""
    b.use(var)
    x, steps = b.name("x", "cur", "z"), b.name("steps", "count", "moves")
    limit = b.stream.choice((12, 20, 30, 50))
    b.line(f"{x} = {var.magnitude} + 1")
    b.line(f"{steps} = 0")
    with b.block(f"while {x} != 1 and {steps} < {limit}:"):
        divisor = b.stream.choice((2, 2, 3))
        with b.block(f"if {x} % {divisor} == 0:"):
            b.line(f"{x} //= {divisor}")
        with b.block("else:"):
            b.line(f"{x} = {x} * {divisor + 1} + {b.stream.choice((1, 1, divisor + 1))}")
        b.line(f"{steps} += 1")
    b.line(f"{x} %= {b.stream.choice((1009, 9973))}")
    b.add(Var("int", x, 0, 9972))
    b.add(Var("int", steps, 0, limit))


@step("int", depth=2, levels="medium hard")
def divisors(b: Builder, var: Var) -> None:
    """Go through the numbers up to a bound and gather those that divide, or their sum."""
    b.use(var)
    bound = f"{var.magnitude} % {b.stream.choice((60, 80, 90))} + {b.stream.between(2, 20)}"
    top, i = b.name("top", "bound", "m"), b.local("i", "j", "p")
    b.line(f"{top} = {bound}")
    if b.stream.chance(0.5):
        name = b.name("divisors", "factors", "found")
        b.line(f"{name} = [{i} for {i} in range(1, {top} + 1) if {top} % {i} == 0]")
        b.add(Var("ints", name, 1, 110, 2, 12))
        return
    name = b.name("primes", "factors", "parts")
    b.line(f"{name} = []")
    b.line(f"{i} = 2")
    with b.block(f"while {top} > 1:"):
        with b.block(f"while {top} % {i} == 0:"):
            b.line(f"{name}.append({i})")
            b.line(f"{top} //= {i}")
        b.line(f"{i} += 1")
    b.add(Var("ints", name, 2, 110, 1, 6))


@step("int", depth=1, levels="medium hard")
def recurrence(b: Builder, var: Var) -> None:
    """A sequence in which each number comes from the two before it."""
    b.use(var)
    first, second = b.name("f", "prev", "u"), b.name("g", "nxt", "v")
    rounds, modulus = b.stream.between(4, 12), b.stream.choice((97, 101, 1000, 1009))
    p, q = b.stream.between(1, 4), b.stream.between(1, 3)
    b.line(f"{first}, {second} = {b.stream.between(0, 3)}, {var.name} % {modulus}")
    with b.block(f"for _ in range({rounds}):"):
        a = f"{q} * {first}" if q > 1 else first
        c = f"{p} * {second}" if p > 1 else second
        b.line(f"{first}, {second} = {second}, ({a} + {c}) % {modulus}")
    b.add(Var("int", second, 0, modulus - 1))


@step("int", depth=1)
def triangle(b: Builder, var: Var) -> None:
    """Sum an expression over a range that the number sets."""
    b.use(var)
    i, name = b.local("i", "j"), b.name("total", "s", "acc")
    most = b.stream.choice((10, 15, 20))
    expr, low, high = bounded(b, *_term(b, i, most))
    b.line(f"{name} = {var.name}")
    with b.block(f"for {i} in range({var.name} % {most} + 1):"):
        b.line(f"{name} += {expr}")
    b.add(Var("int", name, var.low + most * min(low, 0), var.high + most * max(high, 0)))


def _term(b: Builder, i: str, most: int) -> tuple[str, int, int]:
    a, c = b.stream.between(2, 6), b.stream.between(2, 9)
    options = ((f"{i} * {i}", 0, most**2), (f"{i} * {a} + {c}", 0, most * a + c))
    return b.stream.choice((*options, (f"{i} * {i} - {c} * {i}", -c * most, most**2)))
