"""What a run has: a budget of steps, an input to read and an output to write."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_STEPS = 200_000
MAX_DEPTH = 300
"""Calls of the program's functions inside each other."""
MAX_OUTPUT = 1 << 20
CHARS_A_STEP = 16
"""Characters that are read or made in the time of a step."""
BITS_A_STEP = 9
"""Whole numbers of more than 2^9 bits cost more than a step."""
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_COLLECTIONS: tuple[Any, ...] = (list, tuple, set, frozenset, *_VIEWS)


class OutOfBudget(Exception):
    """The run did more than it may."""


class NotEvaluable(Exception):
    """The program does something that is not known here."""


class Machine:
    """The state of one run."""

    def __init__(self, stdin: str) -> None:
        self.steps_left = MAX_STEPS
        self.depth = 0
        self.output: list[str] = []
        self._num_written = 0
        self._is_text = not any("\ud800" <= c <= "\udfff" for c in stdin)
        text = stdin.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        self._lines = iter(lines if lines[-1] else lines[:-1])

    def charge(self, steps: int = 1) -> None:
        """Pay for steps."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise OutOfBudget

    def charge_text(self, num_chars: int) -> None:
        """Pay for reading or making text."""
        self.charge(1 + num_chars // CHARS_A_STEP)

    def weigh(self, value: Any) -> None:
        """Pay for all that a value holds, however deep, as comparing or writing it would."""
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                self.charge_text(len(item))
            elif isinstance(item, int):
                self.charge(1 + (item.bit_length() >> BITS_A_STEP) ** 2)
            elif isinstance(item, dict):
                self.charge(1 + len(item))
                waiting += item
                waiting += item.values()
            elif isinstance(item, _COLLECTIONS):
                self.charge(1 + len(item))
                waiting += item
            else:
                self.charge()

    def weigh_key(self, key: Any) -> None:
        """Pay for hashing a value."""
        if isinstance(key, tuple | frozenset):
            self.weigh(key)
        else:
            self.charge()

    def items(self, values: Iterable[Any]) -> Iterator[Any]:
        """Yield the items of something, each for a step."""
        for item in values:
            self.charge()
            yield item

    def call(self, body: Callable[[Any], Any], scope: Any) -> Any:
        """Return what a function's body gives, unless it stands in too many others."""
        self.charge()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise OutOfBudget
        try:
            return body(scope)
        finally:
            self.depth -= 1

    def read_line(self) -> str:
        """Return the next line of the input."""
        if not self._is_text:
            raise ValueError("the input is no text")
        line = next(self._lines, None)
        if line is None:
            raise EOFError
        self.charge_text(len(line))
        return line

    def write(self, text: str) -> None:
        """Add to the output."""
        self.charge_text(len(text))
        self._num_written += len(text)
        if self._num_written > MAX_OUTPUT:
            raise OutOfBudget
        self.output.append(text)
