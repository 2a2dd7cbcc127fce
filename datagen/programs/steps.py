"""The registry of steps: each computes something new from a variable of the kinds that it needs."""

from collections.abc import Callable
from dataclasses import dataclass

from datagen.programs.scope import Builder, Kind, Var

MAX_NUMBER = 10**6
"""Steps keep numbers below about this, by a remainder where need be."""

Write = Callable[[Builder, Var], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A way to go on: `write` uses the variable and adds what it computes."""

    write: Write
    needs: tuple[Kind, ...]
    depth: int
    """Blocks inside each other that it writes, at most."""
    levels: tuple[str, ...]
    weight: float


STEPS: list[Step] = []


def step(
    *needs: Kind,
    depth: int = 0,
    levels: str = "easy medium hard",
    weight: float = 1.0,
) -> Callable[[Write], Write]:
    """Register a step."""

    def register(write: Write) -> Write:
        STEPS.append(Step(write, needs, depth, tuple(levels.split()), weight))
        return write

    return register


def bounded(b: Builder, text: str, low: int, high: int) -> tuple[str, int, int]:
    """Return an expression and its range, with a remainder if its values would be large."""
    if max(abs(low), abs(high)) <= MAX_NUMBER:
        return text, low, high
    modulus = b.stream.choice((97, 101, 997, 1009, 10007))
    return f"({text}) % {modulus}", 0, modulus - 1
