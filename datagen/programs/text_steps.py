"""Steps on words: reversing, shifting and filtering letters, counting, run lengths."""

from datagen.programs.scope import Builder, Var
from datagen.programs.steps import step


def _texts(b: Builder, var: Var, name: str, factor: int = 1, least: int | None = None) -> None:
    """Make a text known whose length follows that of `var`."""
    size = var.min_size if least is None else least
    b.add(Var("str", name, min_size=size, max_size=var.max_size * factor))


@step("str", weight=2)
def rearranged(b: Builder, var: Var) -> None:
    """The same letters in another order or case."""
    b.use(var)
    name, k, s = b.name("t", "out", "r", "mixed"), b.stream.between(1, 3), var.name
    options = (
        f"{s}[::-1]",
        f"{s}[{k}:] + {s}[:{k}]",
        f"{s}[::2] + {s}[1::2]",
        f"{s}[::2].upper() + {s}[1::2][::-1]",
        f"''.join(sorted({s}))",
        f"{s}[:len({s}) // 2][::-1] + {s}[len({s}) // 2:]",
        f"''.join(a + b for a, b in zip({s}, {s}[::-1]))",
    )
    place = b.stream.below(len(options))
    b.line(f"{name} = {options[place]}")
    _texts(b, var, name, factor=2 if place == 6 else 1)


@step("str", weight=1.5)
def replaced(b: Builder, var: Var) -> None:
    """Some letters are replaced or left out."""
    b.use(var)
    name, c = b.name("t", "clean", "kept", "out"), b.local("c", "ch")
    group, letter = b.stream.choice(("aeiou", "aeiou", "abc", "nopqrst")), b.stream.choice("cgkmr")
    options = (
        f"''.join({c} for {c} in {var.name} if {c} not in '{group}')",
        f"''.join('*' if {c} in '{group}' else {c} for {c} in {var.name})",
        f"''.join({c}.upper() if {c} > '{letter}' else {c} for {c} in {var.name})",
        f"''.join({c} * ({c} in '{group}') + {c} for {c} in {var.name})",
    )
    place = b.stream.below(len(options))
    b.line(f"{name} = {options[place]}")
    _texts(b, var, name, 2 if place == 3 else 1, 0 if place == 0 else None)


@step("str", weight=1.5)
def shifted(b: Builder, var: Var) -> None:
    """A Caesar shift, by a fixed number or by the place of each letter."""
    b.use(var)
    name, c, i = b.name("t", "code", "secret"), b.local("c", "ch"), b.local("i", "j")
    k = b.stream.between(2, 12)
    if b.stream.chance(0.5):
        inner = f"chr((ord({c}) - 97 + {k}) % 26 + 97) for {c} in {var.name}"
    else:
        inner = f"chr((ord({c}) + {i} * {k} - 97) % 26 + 97) for {i}, {c} in enumerate({var.name})"
    b.line(f"{name} = ''.join({inner})")
    _texts(b, var, name)


@step("str", depth=1, weight=1.5)
def letter_sum(b: Builder, var: Var) -> None:
    """A number made of the letters, in order."""
    b.use(var)
    name, c = b.name("h", "value", "total", "score"), b.local("c", "ch")
    factor, modulus = b.stream.choice((3, 7, 31)), b.stream.choice((97, 101, 256, 1009))
    b.line(f"{name} = {b.stream.between(0, 9)}")
    with b.block(f"for {c} in {var.name}:"):
        if b.stream.chance(0.6):
            b.line(f"{name} = ({name} * {factor} + ord({c})) % {modulus}")
            high = modulus
        else:
            b.line(f"{name} += ord({c}) - {b.stream.choice((96, 97, 100))}")
            high = 30 * var.max_size
    b.add(Var("int", name, -10 * var.max_size, high))


@step("str")
def letter_places(b: Builder, var: Var) -> None:
    """The places of the letters in the alphabet, as numbers."""
    b.use(var)
    name, c = b.name("codes", "places", "nums"), b.local("c", "ch")
    b.line(f"{name} = [ord({c}) % 32 for {c} in {var.name}]")
    b.add(Var("ints", name, 0, 31, var.min_size, var.max_size))


@step("str", depth=1, levels="medium hard", weight=1.5)
def letter_counts(b: Builder, var: Var) -> None:
    """How often each letter occurs."""
    b.use(var)
    name, c = b.name("freq", "counts", "seen"), b.local("c", "ch")
    b.line(f"{name} = {{}}")
    with b.block(f"for {c} in {var.name}:"):
        b.line(f"{name}[{c}] = {name}.get({c}, 0) + 1")
    b.add(Var("counts", name, 0, var.max_size, min(1, var.min_size), var.max_size))


@step("str", depth=2, levels="medium hard", weight=1.5)
def run_lengths(b: Builder, var: Var) -> None:
    """Each run of equal letters, with its length."""
    b.use(var)
    name, i, j = b.name("packed", "out", "rle"), b.local("i", "start"), b.local("j", "end")
    s = var.name
    b.line(f"{name} = ''")
    b.line(f"{i} = 0")
    with b.block(f"while {i} < len({s}):"):
        b.line(f"{j} = {i}")
        with b.block(f"while {j} < len({s}) and {s}[{j}] == {s}[{i}]:"):
            b.line(f"{j} += 1")
        first, second = b.stream.shuffled((f"{s}[{i}]", f"str({j} - {i})"))
        b.line(f"{name} += {first} + {second}")
        b.line(f"{i} = {j}")
    _texts(b, var, name, factor=2)


@step("str", depth=2, levels="medium hard", weight=2)
def letter_machine(b: Builder, var: Var) -> None:
    """Go through the letters with a number that decides what becomes of each."""
    b.use(var)
    name, c, state = b.name("out", "built", "res"), b.local("c", "ch"), b.name("k", "state", "turn")
    modulus = b.stream.between(3, 7)
    b.line(f"{name} = ''")
    b.line(f"{state} = {b.stream.below(3)}")
    with b.block(f"for {c} in {var.name}:"):
        with b.block(f"if (ord({c}) + {state}) % {b.stream.between(2, 4)} == 0:"):
            b.line(b.stream.choice((f"{name} = {c} + {name}", f"{name} += {c}.upper()")))
            b.line(f"{state} += {b.stream.between(1, 4)}")
        with b.block("else:"):
            b.line(b.stream.choice((f"{name} += {c}", f"{name} += {c} + str({state})")))
            b.line(f"{state} = ({state} * {b.stream.between(2, 4)} + 1) % {modulus}")
    _texts(b, var, name, factor=3)
    b.add(Var("int", state, 0, 50))


@step("str", depth=2, levels="hard")
def brackets(b: Builder, var: Var) -> None:
    """A stack of letters in which equal neighbours, or a letter and its follower, cancel out."""
    b.use(var)
    stack, c = b.name("stack", "keep"), b.local("c", "ch")
    apart = f"abs(ord({stack}[-1]) - ord({c}))"
    near = b.stream.choice((f"{stack}[-1] == {c}", f"{apart} == 1", f"{apart} < 3"))
    b.line(f"{stack} = []")
    with b.block(f"for {c} in {var.name}:"):
        with b.block(f"if {stack} and {near}:"):
            b.line(f"{stack}.pop()")
        with b.block("else:"):
            b.line(f"{stack}.append({c})")
    name = b.name("left", "reduced", "t")
    b.line(f"{name} = ''.join({stack})")
    _texts(b, var, name, least=0)
