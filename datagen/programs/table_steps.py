"""Steps on lists of words, on dictionaries, and on lists of (word, number)."""

from datagen.programs.scope import Builder, Var
from datagen.programs.steps import step

WORD_SIZE = 6
"""Letters of the longest word in a list of words."""


@step("words", weight=1.5)
def words_changed(b: Builder, var: Var) -> None:
    """Change each word."""
    b.use(var)
    name, w, k = b.name("changed", "out", "parts"), b.local("w", "word"), b.stream.between(1, 2)
    options = (
        f"{w}[::-1]",
        f"{w}[{k}:] + {w}[:{k}]",
        f"{w}.upper() if len({w}) % 2 else {w}",
        f"{w}[0].upper() + {w}[1:]",
        f"{w} + str(len({w}))",
        f"{w}[::-1] if {w} > '{b.stream.choice('cfkp')}' else {w}",
    )
    b.line(f"{name} = [{b.stream.choice(options)} for {w} in {var.name}]")
    b.add(Var("words", name, min_size=var.min_size, max_size=var.max_size))


@step("words", weight=1.5)
def words_ordered(b: Builder, var: Var) -> None:
    """The words in another order, or some of them."""
    b.use(var)
    name, w = b.name("ranked", "ordered", "picked"), b.local("w", "word")
    options = (
        f"sorted({var.name}, key=lambda {w}: (len({w}), {w}))",
        f"sorted({var.name}, key=lambda {w}: {w}[::-1])",
        f"sorted({var.name}, key=lambda {w}: (-len({w}), {w}[-1]))",
        f"{var.name}[::-1]",
        f"[{w} for {w} in {var.name} if len({w}) > 2]",
    )
    place = b.stream.below(len(options))
    b.line(f"{name} = {options[place]}")
    b.add(Var("words", name, min_size=0 if place == 4 else var.min_size, max_size=var.max_size))


@step("words")
def words_joined(b: Builder, var: Var) -> None:
    """One text of all words."""
    b.use(var)
    name, w = b.name("text", "joined", "acronym"), b.local("w", "word")
    size = var.max_size * (WORD_SIZE + 2)
    options = (
        f"''.join({w}[0] for {w} in {var.name})",
        f"''.join({w}[-1] for {w} in {var.name})",
        f"'{b.stream.choice('-_+')}'.join({var.name})",
        f"''.join({w}[len({w}) // 2] for {w} in {var.name})",
    )
    b.line(f"{name} = {b.stream.choice(options)}")
    b.add(Var("str", name, min_size=var.min_size, max_size=size))


@step("words")
def words_measured(b: Builder, var: Var) -> None:
    """A number of each word."""
    b.use(var)
    name, w = b.name("sizes", "lengths", "marks"), b.local("w", "word")
    options = ((f"len({w})", 8), (f"len(set({w}))", 8), (f"sum(ord(c) % 32 for c in {w})", 120))
    text, high = b.stream.choice((*options, (f"len({w}) * 10 + {w}.count({w}[0])", 66)))
    b.line(f"{name} = [{text} for {w} in {var.name}]")
    b.add(Var("ints", name, 1, high, var.min_size, var.max_size))


@step("words", depth=1, levels="medium hard", weight=1.5)
def words_grouped(b: Builder, var: Var) -> None:
    """How many words, or letters, fall into each group."""
    b.use(var)
    name, w = b.name("groups", "counts", "table"), b.local("w", "word")
    key = b.stream.choice((f"{w}[0]", f"{w}[-1]", f"str(len({w}))"))
    gain = b.stream.choice(("1", f"len({w})"))
    b.line(f"{name} = {{}}")
    with b.block(f"for {w} in {var.name}:"):
        b.line(f"{name}[{key}] = {name}.get({key}, 0) + {gain}")
    b.add(Var("counts", name, 0, 10 * var.max_size, min(1, var.min_size), var.max_size))


@step("counts", levels="medium hard", weight=1.5)
def counts_ranked(b: Builder, var: Var) -> None:
    """The keys in order of their numbers."""
    b.use(var)
    name, k = b.name("ranking", "order", "keys"), b.local("k", "key")
    sign = b.stream.choice(("", "-"))
    b.line(f"{name} = sorted({var.name}, key=lambda {k}: ({sign}{var.name}[{k}], {k}))")
    b.add(Var("words", name, min_size=var.min_size, max_size=var.max_size))
    values = b.name("nums", "amounts", "values")
    b.line(f"{values} = [{var.name}[{k}] for {k} in {name}]")
    b.add(Var("ints", values, var.low, var.high, var.min_size, var.max_size))


@step("counts", depth=2, levels="medium hard", weight=1.5)
def counts_changed(b: Builder, var: Var) -> None:
    """Change the numbers of some keys."""
    k, a, c = b.local("k", "key"), b.stream.between(2, 5), b.stream.between(1, 9)
    middle = (var.low + var.high) // 2 if b.stream.chance(0.5) else c
    tests = (f"{var.name}[{k}] % 2 == {b.stream.below(2)}", f"{var.name}[{k}] > {middle}")
    with b.block(f"for {k} in {var.name}:"):
        with b.block(f"if {b.stream.choice(tests)}:"):
            b.line(f"{var.name}[{k}] += {c}")
        with b.block("else:"):
            b.line(f"{var.name}[{k}] *= {a}")
    low, high = a * min(0, var.low), a * max(0, var.high) + c
    b.change(var, Var("counts", var.name, low, high, var.min_size, var.max_size))


@step("counts", levels="medium hard")
def counts_summed(b: Builder, var: Var) -> None:
    """One number of all keys and their numbers."""
    b.use(var)
    name, k, v = b.name("total", "score", "sig"), b.local("k", "key"), b.local("v", "cnt")
    options = (
        f"sum({v} * {v} for {v} in {var.name}.values())",
        f"sum({v} * ord({k}[0]) for {k}, {v} in {var.name}.items()) % 1009",
        f"sum({v} * i for i, {v} in enumerate({var.name}.values(), 1))",
    )
    b.line(f"{name} = {b.stream.choice(options)}")
    high = var.max_size * max(abs(var.low), abs(var.high), 10) ** 2
    b.add(Var("int", name, -high if var.low < 0 else 0, high))


@step("pairs", depth=2, levels="medium hard")
def records_settled(b: Builder, var: Var) -> None:
    """A dictionary in which each record changes the number of its word."""
    b.use(var)
    name = b.name("balance", "state", "board")
    word, value = b.local("who", "key", "label"), b.local("v", "delta", "amt")
    modulus, first = b.stream.choice((50, 97, 100)), b.stream.between(0, 20)
    b.line(f"{name} = {{}}")
    with b.block(f"for {word}, {value} in {var.name}:"):
        with b.block(f"if {word} not in {name}:"):
            b.line(f"{name}[{word}] = {first}")
        change = b.stream.choice((f"* 2 + {value}", f"+ {value}", f"* {value}", f"- {value}"))
        b.line(f"{name}[{word}] = ({name}[{word}] {change}) % {modulus}")
    b.add(Var("counts", name, 0, modulus - 1, 1, var.max_size))


@step("pairs", levels="medium hard")
def records_ordered(b: Builder, var: Var) -> None:
    """Sort the records; the words and the numbers go on by themselves."""
    b.use(var)
    name = b.name("ranked", "rows", "table")
    divisor, sign = b.stream.between(3, 9), b.stream.choice(("", "-"))
    options = (f"({sign}r[1], r[0])", f"(r[0], {sign}r[1])", f"(r[1] % {divisor}, r[0])")
    b.line(f"{name} = sorted({var.name}, key=lambda r: {b.stream.choice(options)})")
    words, numbers = b.name("order", "labels"), b.name("amounts", "column")
    b.line(f"{words} = [r[0] for r in {name}]")
    b.line(f"{numbers} = [r[1] for r in {name}]")
    b.add(Var("words", words, min_size=var.min_size, max_size=var.max_size))
    b.add(Var("ints", numbers, var.low, var.high, var.min_size, var.max_size))
