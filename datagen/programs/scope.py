"""The program being written: its lines, the names in use, and the typed variables so far.

A variable is `fresh` until something is computed from it; a program goes on until few fresh ones
are left and prints those, so that nothing it computes is in vain.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from datagen.programs.expressions import Expr
from datagen.programs.inputs import Field, Shape
from datagen.programs.knobs import Knobs
from datagen.stream import Stream

Kind = Literal["int", "ints", "str", "words", "counts", "pairs"]
"""Types of variables: numbers, lists of them, text, lists of words, dict of word to number, and
lists of (word, number)."""

_IDENTIFIER = re.compile(r"\b[a-z_]\w*\b")


@dataclass(frozen=True, slots=True)
class Var:
    """A variable: numbers in it lie in low..high, and it has min_size..max_size elements."""

    kind: Kind
    name: str
    low: int = 0
    high: int = 0
    min_size: int = 0
    max_size: int = 0

    @property
    def expr(self) -> Expr:
        """The number as an expression."""
        return Expr(self.name, self.low, self.high)

    @property
    def magnitude(self) -> str:
        """The number without its sign."""
        return f"abs({self.name})" if self.low < 0 else self.name


@dataclass(frozen=True, slots=True)
class Draft:
    """A program, the shape of its input, and the names that it chose."""

    text: str
    shape: Shape
    names: frozenset[str]

    def canonical(self) -> str:
        """Return the text with its own names numbered, equal for programs that differ in names."""
        numbers: dict[str, str] = {}

        def renamed(match: re.Match[str]) -> str:
            name = match.group()
            if name not in self.names:
                return name
            return numbers.setdefault(name, f"v{len(numbers)}")

        return _IDENTIFIER.sub(renamed, self.text)


@dataclass
class Builder:
    """Collects a program; productions write lines and variables into it."""

    stream: Stream
    knobs: Knobs
    shape: list[Field] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    functions: list[list[str]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    local_names: set[str] = field(default_factory=set)
    steps: set[str] = field(default_factory=set)
    """Names of the steps written so far."""
    read: list[Var] = field(default_factory=list)
    """Variables as they were read."""
    variables: list[Var] = field(default_factory=list)
    fresh: list[Var] = field(default_factory=list)
    indent: int = 0

    def line(self, text: str) -> None:
        """Write a line at the present depth."""
        self.lines.append("    " * self.indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write `head`, and what is written inside one step deeper."""
        self.line(head)
        self.indent += 1
        yield
        self.indent -= 1

    def name(self, *options: str) -> str:
        """Take a name that is not in use: one of the options, numbered if all are."""
        mixed = self.stream.shuffled(options)
        candidates = [*mixed, *(f"{mixed[0]}{number}" for number in range(2, 99))]
        free = next(name for name in candidates if name not in self.names)
        self.names.add(free)
        return free

    def add(self, variable: Var) -> Var:
        """Make a variable known, and fresh."""
        self.variables.append(variable)
        self.fresh.append(variable)
        return variable

    def use(self, variable: Var) -> Var:
        """Mark a variable as used."""
        if variable in self.fresh:
            self.fresh.remove(variable)
        return variable

    def local(self, *options: str) -> str:
        """Return a name for a loop: one that no variable has; other loops may take it again."""
        free = [name for name in options if name not in self.names]
        name = self.stream.choice(free) if free else self.name(*options)
        self.local_names.add(name)
        return name

    def change(self, old: Var, new: Var) -> Var:
        """Say that a variable has other values from now on (the same name)."""
        self.use(old)
        self.variables.remove(old)
        return self.add(new)

    def find(self) -> Var:
        """Return a variable to go on with: an untouched input first, else a fresh one."""
        untouched = [variable for variable in self.fresh if variable in self.read]
        return self.stream.choice(untouched or self.fresh or self.variables)

    def reads(self) -> bool:
        """Tell whether another line of input may be read."""
        return len(self.shape) < self.knobs.inputs

    @property
    def num_lines(self) -> int:
        """Lines so far."""
        return len(self.lines) + sum(map(len, self.functions))

    def draft(self) -> Draft:
        """Return the program."""
        parts = [[line] for line in ["\n".join(sorted(self.imports))] if line]
        parts += [*self.functions, self.lines]
        text = "\n\n".join("\n".join(part) for part in parts)
        return Draft(text, tuple(self.shape), frozenset(self.names | self.local_names))
