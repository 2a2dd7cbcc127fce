"""What a run has: a budget of steps, an input to read and an output to write."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_STEPS = 200_000
MAX_DEPTH = 600
"""Calls of functions, comprehensions and generators inside each other."""
MAX_NESTED = 100
"""Collections inside each other that are compared, hashed or written."""
MAX_OUTPUT = 1 << 20
CHARS_A_STEP = 16
"""Characters that are read or made in the time of a step."""
BITS_A_STEP = 9
"""Whole numbers of more than 2^9 bits cost more than a step."""
PROBES_A_STEP = 16
"""Keys of a dict or set that are compared in the time of a step."""
COMPARISONS_A_STEP = 1024
"""Characters that a search compares in the time of a step."""
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_HASHED: tuple[Any, ...] = (set, frozenset, dict, *_VIEWS)


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

    def charge_search(self, num_chars: int, num_sought: int) -> None:
        """Pay for looking for a text in another, at each place."""
        self.charge_text(num_chars + num_sought)
        self.charge(num_chars * num_sought // COMPARISONS_A_STEP)

    def weigh(self, value: Any, written: bool = False) -> int:
        """Pay for all that a value holds, however deep, as comparing it would; return the steps.

        What a dict or set holds is paid for as if all hashes were equal. Functions and iterators
        are refused, since their identity would show; where the value is `written`, sets are too,
        since their order would.
        """
        before = self.steps_left
        level: list[tuple[Any, int]] = [(value, 1)]
        for _ in range(MAX_NESTED):
            inner: list[tuple[Any, int]] = []
            for item, times in level:
                self._weigh_one(item, times, inner, written)
            if not inner:
                return before - self.steps_left
            level = inner
        raise OutOfBudget

    def _weigh_one(
        self, item: Any, times: int, inner: list[tuple[Any, int]], written: bool
    ) -> None:
        if item is None or isinstance(item, float | complex):
            self.charge(times)
        elif isinstance(item, int):
            self.charge(times * (1 + (item.bit_length() >> BITS_A_STEP) ** 2))
        elif isinstance(item, str):
            self.charge(times * (1 + len(item) // CHARS_A_STEP))
        elif isinstance(item, list | tuple):
            self.charge(times * (1 + len(item)))
            inner += [(each, times) for each in item]
        elif isinstance(item, range):
            self.charge(times)
            inner += [(each, times) for each in (item.start, item.stop, item.step)]
        elif isinstance(item, _HASHED):
            if written and isinstance(item, set | frozenset) and len(item) > 1:
                raise NotEvaluable("the order of a set")
            self.charge(times * (1 + len(item)))
            times *= 1 + len(item) // PROBES_A_STEP
            inner += [(each, times) for each in item]
            if isinstance(item, dict):
                inner += [(each, times) for each in item.values()]
        else:
            raise NotEvaluable("a function or an iterator as a value")

    def hashed(self, key: Any, num_keys: int) -> None:
        """Pay for looking a key up among others, which may all have its hash."""
        self.charge(self.weigh(key) * (num_keys // PROBES_A_STEP))

    def items(self, values: Iterable[Any]) -> Iterator[Any]:
        """Return an iterator of something, each item for a step; TypeError if it has none."""
        if isinstance(values, set | frozenset) and len(values) > 1:
            raise NotEvaluable("the order of a set")
        return self._paid(iter(values))

    def _paid(self, values: Iterator[Any]) -> Iterator[Any]:
        for item in values:
            self.charge()
            yield item

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Return what a function gives, unless it stands in too many others."""
        self.charge()
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                raise OutOfBudget
            return function(*args, **options)
        finally:
            self.depth -= 1

    def generated(self, values: Iterator[Any]) -> Iterator[Any]:
        """Yield the items of a generator of the program's, each made as by a call."""
        end = object()
        while (item := self.call(next, values, end)) is not end:
            yield item

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
