"""Integer expressions with the range of their values, so that numbers stay readable.

Every expression carries the least and the greatest value that it can take; operations that would
pass a limit, or divide by nothing, are not drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datagen.stream import Stream

SUM, PRODUCT, ATOM = 0, 1, 2
"""How tightly an expression binds."""


@dataclass(frozen=True, slots=True)
class Expr:
    """The text of an expression and the range of its values."""

    text: str
    low: int
    high: int
    rank: int = ATOM

    def inside(self, rank: int) -> str:
        """Return the text, in brackets if it binds less tightly than `rank`."""
        return self.text if self.rank >= rank else f"({self.text})"

    @property
    def size(self) -> int:
        """The greatest absolute value."""
        return max(abs(self.low), abs(self.high))


def plus(a: Expr, b: Expr) -> Expr:
    """Return a + b."""
    return Expr(f"{a.text} + {b.inside(PRODUCT)}", a.low + b.low, a.high + b.high, SUM)


def minus(a: Expr, b: Expr) -> Expr:
    """Return a - b."""
    return Expr(f"{a.text} - {b.inside(PRODUCT)}", a.low - b.high, a.high - b.low, SUM)


def times(a: Expr, b: Expr) -> Expr:
    """Return a * b."""
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    text = f"{a.inside(PRODUCT)} * {b.inside(ATOM)}"
    return Expr(text, min(ends), max(ends), PRODUCT)


def modulo(a: Expr, divisor: int) -> Expr:
    """Return a % divisor, for a positive divisor."""
    return Expr(f"{a.inside(PRODUCT)} % {divisor}", 0, divisor - 1, PRODUCT)


def floor_divide(a: Expr, divisor: int) -> Expr:
    """Return a // divisor, for a positive divisor."""
    text = f"{a.inside(PRODUCT)} // {divisor}"
    return Expr(text, a.low // divisor, a.high // divisor, PRODUCT)


def absolute(a: Expr) -> Expr:
    """Return abs(a)."""
    low = 0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high))
    return Expr(f"abs({a.text})", low, a.size)


def lesser(a: Expr, b: Expr) -> Expr:
    """Return min(a, b)."""
    return Expr(f"min({a.text}, {b.text})", min(a.low, b.low), min(a.high, b.high))


def greater(a: Expr, b: Expr) -> Expr:
    """Return max(a, b)."""
    return Expr(f"max({a.text}, {b.text})", max(a.low, b.low), max(a.high, b.high))


def number(value: int) -> Expr:
    """Return a constant."""
    return Expr(str(value), value, value, ATOM if value >= 0 else SUM)


def grown(
    stream: Stream, atoms: Sequence[Expr], operations: int, limit: int, constant: int = 9
) -> Expr:
    """Return an expression that uses every atom, of about so many operations.

    Its values stay within -limit..limit where any operation allows that; constants are at most
    `constant`.
    """
    first, *rest = stream.shuffled(atoms)
    expr = first
    for other in rest:
        expr = _joined(stream, expr, other, limit)
    for _ in range(operations - len(rest)):
        expr = _changed(stream, expr, limit, constant)
    return expr


def _joined(stream: Stream, a: Expr, b: Expr, limit: int) -> Expr:
    options: list[Callable[[Expr, Expr], Expr]] = [plus, plus, minus, minus, times, greater, lesser]
    for make in stream.shuffled(options):
        made = make(a, b)
        if made.size <= limit:
            return made
    return minus(a, b) if a.low >= 0 and b.low >= 0 else greater(a, b)


def _changed(stream: Stream, expr: Expr, limit: int, constant: int) -> Expr:
    """Apply one operation with a constant (or abs) that changes something."""
    for kind in stream.shuffled("++--**%/a"):
        made = _with_constant(stream, expr, kind, constant)
        if made is not None and made.size <= limit:
            return made
    return modulo(expr, max(2, min(limit, constant)))


def _with_constant(stream: Stream, expr: Expr, kind: str, constant: int) -> Expr | None:
    value = stream.between(1, 2 * constant if kind in "+-" else constant)
    if kind == "+":
        return plus(expr, number(value))
    if kind == "-":
        return minus(expr, number(value))
    if kind == "*" and value > 1 and not expr.text.isdigit():
        return times(expr, number(value))
    width = expr.high - expr.low
    if kind == "%" and width >= 8:
        return modulo(expr, stream.between(5, max(6, min(width * 2 // 3, 3 * constant))))
    if kind == "/" and width >= 8 and value > 1:
        return floor_divide(expr, min(value, 4))
    if kind == "a" and expr.low < 0 < expr.high and expr.rank == SUM:
        return absolute(expr)
    return None


def condition(stream: Stream, expr: Expr) -> str:
    """Return a comparison of the expression with a constant that may go either way."""
    if stream.chance(0.4):
        divisor = stream.choice((2, 2, 2, 3, 3, 4, 5))
        sign = stream.choice(("==", "==", "!="))
        return f"{expr.inside(PRODUCT)} % {divisor} {sign} {stream.below(min(divisor, 3))}"
    low, high = expr.low, expr.high
    quarter = max(1, (high - low) // 4)
    value = stream.between(min(low + quarter, high), max(min(low + quarter, high), high - quarter))
    return f"{expr.text} {stream.choice(('<', '>', '<=', '>='))} {value}"
