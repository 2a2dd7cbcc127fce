"""How programs read: each reader writes the lines that read one field, and names what it holds."""

from collections.abc import Callable

from datagen.programs.inputs import Block, Int, Many, Row, Sized, Word
from datagen.programs.scope import Builder, Var

LETTERS, FEW = "abcdefghijklmnopqrstuvwxyz", "abcd"
WORDS_PER_LINE = (3, 6)


def read_number(b: Builder) -> None:
    """One number on a line."""
    low, high = b.knobs.min_value, b.knobs.max_value
    name = b.name("n", "k", "limit", "start", "value")
    b.line(f"{name} = int(input())")
    b.shape.append(Row((Int(low, high),)))
    b.add(Var("int", name, low, high))


def read_pair(b: Builder) -> None:
    """Two or three numbers on a line."""
    low, high = b.knobs.min_value, b.knobs.max_value
    options = [("a", "b"), ("x", "y"), ("width", "height"), ("a", "b", "c"), ("low", "high", "k")]
    free = [names for names in options if not b.names & set(names)]
    if not free:
        return read_number(b)
    names = b.stream.choice(free)
    b.names.update(names)
    b.line(f"{', '.join(names)} = map(int, input().split())")
    b.shape.append(Row((Int(low, high),) * len(names)))
    for name in names:
        b.add(Var("int", name, low, high))


def read_list(b: Builder) -> None:
    """A list of numbers: on a line of its own, or after a line that tells how many."""
    low, high = b.knobs.min_value, b.knobs.max_value
    name = b.name("nums", "values", "items", "a", "data", "scores")
    least, most = (3, 5) if b.knobs.depth < 2 else (4, 8)
    form = b.stream.below(4)
    if form < 2:
        b.line(f"{name} = list(map(int, input().split()))")
        b.shape.append(Many(Int(low, high), least, most))
    else:
        size = b.name("n", "count", "size")
        b.line(f"{size} = int(input())")
        if form == 2:
            b.line(f"{name} = [int(x) for x in input().split()][:{size}]")
        else:
            b.line(f"{name} = [int(input()) for _ in range({size})]")
        b.shape.append(Sized(Int(low, high), least, most, one_line=form == 2))
    b.add(Var("ints", name, low, high, least, most))


def read_list_and_number(b: Builder) -> None:
    """`n k`, then a list of n numbers."""
    low, high = b.knobs.min_value, b.knobs.max_value
    size, other = b.name("n", "size"), b.name("k", "m", "target", "step")
    name = b.name("nums", "arr", "heights", "prices")
    b.line(f"{size}, {other} = map(int, input().split())")
    b.line(f"{name} = list(map(int, input().split()))")
    extra = Int(2, max(3, min(high, 20)))
    b.shape.append(Sized(Int(low, high), 4, 7, (extra,)))
    b.names.add(size)
    b.add(Var("int", other, extra.low, extra.high))
    b.add(Var("ints", name, low, high, 4, 7))


def read_text(b: Builder) -> None:
    """A word."""
    name = b.name("s", "text", "word", "line")
    b.line(f"{name} = input(){b.stream.choice(('', '.strip()'))}")
    letters = b.stream.choice((LETTERS, LETTERS, FEW))
    least, most = (4, 8) if b.knobs.depth < 2 else (6, 12)
    b.shape.append(Row((Word(letters, least, most),)))
    b.add(Var("str", name, min_size=least, max_size=most))


def read_words(b: Builder) -> None:
    """Several words on a line."""
    name = b.name("words", "names", "tokens", "parts")
    b.line(f"{name} = input().split()")
    letters = b.stream.choice((LETTERS, LETTERS, FEW))
    b.shape.append(Many(Word(letters, 2, 6), *WORDS_PER_LINE))
    b.add(Var("words", name, min_size=3, max_size=6))


def read_records(b: Builder) -> None:
    """A number, then so many lines of a word and a number, into a list or a dictionary."""
    low, high = b.knobs.min_value, b.knobs.max_value
    size = b.name("n", "q", "rows")
    word, value = b.name("name", "key", "item"), b.name("amount", "points", "price")
    b.shape.append(Block(Row((Word("abc", 1, 2), Int(low, high))), 3, 5))
    if b.stream.chance(0.5):
        name = b.name("records", "entries", "orders")
        b.line(f"{size} = int(input())")
        b.line(f"{name} = []")
        with b.block(f"for _ in range({size}):"):
            b.line(f"{word}, {value} = input().split()")
            b.line(f"{name}.append(({word}, int({value})))")
        b.add(Var("pairs", name, low, high, 3, 5))
    else:
        name = b.name("totals", "stock", "balance", "ledger")
        b.line(f"{name} = {{}}")
        with b.block("for _ in range(int(input())):"):
            b.line(f"{word}, {value} = input().split()")
            b.line(f"{name}[{word}] = {name}.get({word}, 0) + int({value})")
        b.add(Var("counts", name, 2 * min(low, 0), 2 * high, 1, 5))


READERS: dict[str, tuple[tuple[Callable[[Builder], None], float], ...]] = {
    "easy": ((read_number, 2), (read_pair, 2), (read_list, 3), (read_text, 3), (read_words, 1)),
    "medium": (
        (read_number, 1),
        (read_pair, 2),
        (read_list, 4),
        (read_list_and_number, 1),
        (read_text, 3),
        (read_words, 3),
        (read_records, 1),
    ),
    "hard": (
        (read_number, 1),
        (read_pair, 1),
        (read_list, 3),
        (read_list_and_number, 3),
        (read_text, 2),
        (read_words, 2),
        (read_records, 3),
    ),
}
"""Readers of each level, by weight."""


def read(b: Builder, level: str) -> None:
    """Write one reader of a level."""
    readers = READERS[level]
    readers[b.stream.weighted([weight for _, weight in readers])][0](b)
    b.read[:] = b.fresh
