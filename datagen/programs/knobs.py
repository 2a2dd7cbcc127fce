"""How hard programs are: the knobs, and the levels that set them."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["micro", "easy", "medium", "hard"]


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a program of one level may be."""

    lines: int
    """About so many lines."""
    depth: int
    """Blocks inside each other, at most; of a micro program: operations on its numbers."""
    inputs: int
    """Lines of input, at most; of a micro program: numbers on its one line."""
    min_value: int
    """Least number in an input."""
    max_value: int
    """Greatest number in an input."""


DEFAULTS: dict[Level, Knobs] = {
    "micro": Knobs(lines=5, depth=2, inputs=2, min_value=0, max_value=20),
    "easy": Knobs(lines=6, depth=1, inputs=1, min_value=1, max_value=30),
    "medium": Knobs(lines=13, depth=2, inputs=2, min_value=1, max_value=100),
    "hard": Knobs(lines=24, depth=3, inputs=3, min_value=-100, max_value=1000),
}
MICRO_LIMIT = 99
"""Every number in a micro program, and all that it computes, lies in -99..99."""
