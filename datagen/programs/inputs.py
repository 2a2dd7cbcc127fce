"""What a program reads, typed, so that further inputs of the same shape can be drawn.

A shape is a sequence of fields, each of which stands for one or more lines.
"""

from dataclasses import dataclass
from typing import TypeAlias

from datagen.stream import Stream


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number."""

    low: int
    high: int

    def draw(self, stream: Stream) -> str:
        """Return a number in low..high."""
        return str(stream.between(self.low, self.high))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of some letters."""

    letters: str
    min_length: int
    max_length: int

    def draw(self, stream: Stream) -> str:
        """Return a word."""
        length = stream.between(self.min_length, self.max_length)
        return "".join([stream.choice(self.letters) for _ in range(length)])


Part: TypeAlias = Int | Word


@dataclass(frozen=True, slots=True)
class Row:
    """A line of these parts, separated by blanks."""

    parts: tuple[Part, ...]

    def draw(self, stream: Stream) -> list[str]:
        """Return the line."""
        return [" ".join([part.draw(stream) for part in self.parts])]


@dataclass(frozen=True, slots=True)
class Many:
    """A line of several parts of one kind."""

    part: Part
    min_count: int
    max_count: int

    def draw(self, stream: Stream) -> list[str]:
        """Return the line."""
        count = stream.between(self.min_count, self.max_count)
        return [" ".join([self.part.draw(stream) for _ in range(count)])]


@dataclass(frozen=True, slots=True)
class Sized:
    """A line with a number (and `others`), then so many parts: on one line, or each on its own."""

    part: Part
    min_count: int
    max_count: int
    others: tuple[Int, ...] = ()
    one_line: bool = True

    def draw(self, stream: Stream) -> list[str]:
        """Return the lines."""
        count = stream.between(self.min_count, self.max_count)
        head = " ".join([str(count), *(other.draw(stream) for other in self.others)])
        parts = [self.part.draw(stream) for _ in range(count)]
        return [head, " ".join(parts)] if self.one_line else [head, *parts]


@dataclass(frozen=True, slots=True)
class Block:
    """A line with a number, then so many rows."""

    row: Row
    min_count: int
    max_count: int

    def draw(self, stream: Stream) -> list[str]:
        """Return the lines."""
        count = stream.between(self.min_count, self.max_count)
        return [str(count), *(line for _ in range(count) for line in self.row.draw(stream))]


Field: TypeAlias = Row | Many | Sized | Block
Shape: TypeAlias = tuple[Field, ...]


def draw_input(shape: Shape, stream: Stream) -> str:
    """Return an input of that shape, every line ended."""
    return "".join([f"{line}\n" for field in shape for line in field.draw(stream)])


def one_line_of_integers(shape: Shape) -> bool:
    """Tell whether every input of that shape is one line of whole numbers."""
    if len(shape) != 1:
        return False
    field = shape[0]
    if isinstance(field, Row):
        return all(isinstance(part, Int) for part in field.parts)
    return isinstance(field, Many) and isinstance(field.part, Int)
