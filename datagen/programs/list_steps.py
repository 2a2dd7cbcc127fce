"""Steps on lists of numbers: comprehensions, folds, scans, sorting, pairs, stacks."""

from datagen.programs.expressions import Expr, condition, grown
from datagen.programs.scope import Builder, Var
from datagen.programs.steps import bounded, step


def _elements(b: Builder, var: Var) -> tuple[str, Expr]:
    """A name for the list's elements, and an element as an expression."""
    name = b.local("x", "v", "num", "e")
    return name, Expr(name, var.low, var.high)


@step("ints", weight=2)
def mapped(b: Builder, var: Var) -> None:
    """Change every element."""
    b.use(var)
    x, element = _elements(b, var)
    expr = grown(b.stream, [element], b.stream.between(1, 2), 10**5)
    name = b.name("shifted", "mapped", "out", "scaled", "res")
    b.line(f"{name} = [{expr.text} for {x} in {var.name}]")
    b.add(Var("ints", name, expr.low, expr.high, var.min_size, var.max_size))


@step("ints", weight=1.5)
def filtered(b: Builder, var: Var) -> None:
    """Keep the elements that meet a condition, and add up or count them."""
    b.use(var)
    x, element = _elements(b, var)
    test = condition(b.stream, element)
    if b.stream.chance(0.5):
        name = b.name("kept", "chosen", "good", "picked")
        b.line(f"{name} = [{x} for {x} in {var.name} if {test}]")
        b.add(Var("ints", name, var.low, var.high, 0, var.max_size))
        return
    name = b.name("total", "s", "weight", "gain")
    b.line(f"{name} = sum({x} for {x} in {var.name} if {test})")
    b.add(Var("int", name, var.max_size * min(0, var.low), var.max_size * max(0, var.high)))


@step("ints", weight=1.5)
def folded(b: Builder, var: Var) -> None:
    """One number of the whole list."""
    b.use(var)
    name, size = b.name("total", "spread", "result", "s"), var.max_size
    low, high = size * min(0, var.low), size * max(0, var.high)
    wide = var.high - var.low
    options = [(f"sum({var.name})", low, high), (f"sum({var.name}) // 2", low, high)]
    if var.min_size:
        options += [
            (f"max({var.name}) - min({var.name})", 0, wide),
            (f"sum({var.name}) - max({var.name})", low - wide, high),
            (f"max({var.name}) * len({var.name}) - sum({var.name})", 0, size * wide),
        ]
    if var.min_size > 1:
        options += [
            (f"{var.name}[0] * 2 + {var.name}[-1]", 3 * low, 3 * high),
            (f"sorted({var.name})[1]", var.low, var.high),
            (f"{var.name}[-1] - {var.name}[0]", -wide, wide),
        ]
    text, low, high = b.stream.choice(options)
    b.line(f"{name} = {text}")
    b.add(Var("int", name, low, high))


@step("ints")
def reordered(b: Builder, var: Var) -> None:
    """The same elements in another order, or a part of them."""
    b.use(var)
    name, k = b.name("ordered", "turned", "b", "part"), b.stream.between(1, 3)
    options = [f"{var.name}[::-1]", f"{var.name}[{k}:] + {var.name}[:{k}]"]
    options += [f"sorted({var.name}, key=lambda x: (x % {k + 2}, x))", f"sorted({var.name})"]
    options += [f"{var.name}[1::2] + {var.name}[::2]", f"sorted(set({var.name}), reverse=True)"]
    place = b.stream.below(len(options))
    b.line(f"{name} = {options[place]}")
    least = min(var.min_size, 1) if place == 5 else var.min_size
    b.add(Var("ints", name, var.low, var.high, least, var.max_size))


@step("ints", depth=1, weight=1.5)
def scanned(b: Builder, var: Var) -> None:
    """Running totals, maxima or remainders."""
    b.use(var)
    name, x = b.name("prefix", "running", "sums"), b.local("x", "v", "num")
    state = b.name("total", "acc", "run")
    low, high = var.max_size * min(0, var.low), var.max_size * max(0, var.high)
    factor, modulus = b.stream.between(2, 9), b.stream.choice((50, 97, 101))
    form = b.stream.below(3)
    b.line(f"{name} = []")
    b.line(f"{state} = {(0, 0, var.low)[form]}")
    updates = (f"{state} += {x}", f"{state} = ({state} * {factor} + {x}) % {modulus}")
    with b.block(f"for {x} in {var.name}:"):
        b.line((*updates, f"{state} = max({state}, {x})")[form])
        b.line(f"{name}.append({state})")
    low, high = ((low, high), (0, modulus - 1), (var.low, var.high))[form]
    b.add(Var("ints", name, low, high, var.min_size, var.max_size))


@step("ints")
def neighbours(b: Builder, var: Var) -> None:
    """An expression of each element and the next."""
    b.use(var)
    name = b.name("diffs", "steps", "gaps", "pairs")
    x, y = b.local("x", "p", "a"), b.local("y", "q", "nxt")
    left, right = Expr(x, var.low, var.high), Expr(y, var.low, var.high)
    expr = grown(b.stream, [left, right], b.stream.between(1, 2), 10**5)
    b.line(f"{name} = [{expr.text} for {x}, {y} in zip({var.name}, {var.name}[1:])]")
    least, most = max(0, var.min_size - 1), max(0, var.max_size - 1)
    b.add(Var("ints", name, expr.low, expr.high, least, most))


@step("ints", depth=1)
def weighted_sum(b: Builder, var: Var) -> None:
    """A sum of the elements, each times its place."""
    b.use(var)
    name, i, x = b.name("total", "checksum", "score"), b.local("i", "j", "idx"), b.local("x", "v")
    start = b.stream.choice(("", ", 1", ", 2"))
    sign = b.stream.choice(("+=", "+=", "-="))
    most = var.max_size * (var.max_size + 2) * max(abs(var.low), abs(var.high))
    b.line(f"{name} = 0")
    with b.block(f"for {i}, {x} in enumerate({var.name}{start}):"):
        b.line(f"{name} {sign} {i} * {x}")
    b.add(Var("int", name, -most, most))


@step("ints", depth=1, levels="medium hard")
def deduped(b: Builder, var: Var) -> None:
    """Every value once (by a remainder, at times), in order of its first place."""
    b.use(var)
    seen, name, x = b.name("seen", "known"), b.name("unique", "firsts", "kept"), b.local("x", "v")
    key = x if b.stream.chance(0.4) else f"{x} % {b.stream.between(3, 9)}"
    b.line(f"{seen} = set()")
    b.line(f"{name} = []")
    with b.block(f"for {x} in {var.name}:"):
        with b.block(f"if {key} in {seen}:"):
            b.line("continue")
        b.line(f"{seen}.add({key})")
        b.line(f"{name}.append({x})")
    b.add(Var("ints", name, var.low, var.high, min(1, var.min_size), var.max_size))


@step("ints", depth=2, levels="medium hard", weight=1.5)
def pairs_counted(b: Builder, var: Var) -> None:
    """Go through all pairs: count those that meet a condition, or find the best."""
    b.use(var)
    i, j = b.local("i", "p"), b.local("j", "q")
    name, size = b.name("count", "inversions", "hits", "best"), b.name("m", "length")
    one, two = f"{var.name}[{i}]", f"{var.name}[{j}]"
    divisor = b.stream.between(2, 7)
    tests = (f"{one} > {two}", f"({one} + {two}) % {divisor} == 0", f"{one} + {two} > {var.high}")
    b.line(f"{size} = len({var.name})")
    b.line(f"{name} = 0")
    with b.block(f"for {i} in range({size}):"), b.block(f"for {j} in range({i} + 1, {size}):"):
        if b.stream.chance(0.4):
            expr = b.stream.choice((f"abs({one} - {two})", f"{one} * {two} % {divisor + 90}"))
            b.line(f"{name} = max({name}, {expr})")
        else:
            with b.block(f"if {b.stream.choice(tests)}:"):
                b.line(f"{name} += {b.stream.choice(('1', f'{j} - {i}', one))}")
    most = var.max_size**2 * max(abs(var.low), abs(var.high), var.max_size)
    b.add(Var("int", name, -most if var.low < 0 else 0, max(most, divisor + 90)))


@step("ints", depth=2, levels="hard", weight=1.5)
def stacked(b: Builder, var: Var) -> None:
    """A monotone stack, or one whose top takes part in what comes next."""
    b.use(var)
    stack, x = b.name("stack", "pile"), b.local("x", "v", "num")
    sign = b.stream.choice((">", "<", ">="))
    b.line(f"{stack} = []")
    if b.stream.chance(0.5):
        count = b.name("popped", "removed", "cost")
        b.line(f"{count} = 0")
        with b.block(f"for {x} in {var.name}:"):
            with b.block(f"while {stack} and {stack}[-1] {sign} {x}:"):
                b.line(f"{count} += {stack}.pop(){b.stream.choice(('', f' - {x}'))}")
            b.line(f"{stack}.append({x})")
        most = 2 * var.max_size * max(abs(var.low), abs(var.high))
        b.add(Var("int", count, -most, most))
    else:
        with b.block(f"for {x} in {var.name}:"):
            with b.block(f"if {stack} and ({stack}[-1] + {x}) % {b.stream.between(2, 4)} == 0:"):
                b.line(f"{stack}[-1] += {x}")
            with b.block("else:"):
                b.line(f"{stack}.append({x})")
    low, high = var.max_size * min(0, var.low), var.max_size * max(0, var.high)
    b.add(Var("ints", stack, low, high, min(1, var.min_size), var.max_size))


@step("ints", depth=2, levels="hard")
def best_window(b: Builder, var: Var) -> None:
    """The best sum of neighbours, of a fixed number or of any number of them."""
    b.use(var)
    name, x = b.name("best", "answer", "peak"), b.local("x", "v")
    most = var.max_size * max(abs(var.low), abs(var.high))
    if b.stream.chance(0.5):
        i, width = b.local("i", "start"), b.stream.between(2, 3)
        b.line(f"{name} = sum({var.name}[:{width}])")
        with b.block(f"for {i} in range(1, len({var.name}) - {width - 1}):"):
            b.line(f"{name} = max({name}, sum({var.name}[{i}:{i} + {width}]) - {i})")
    else:
        here, offset = b.name("here", "cur"), (var.low + var.high) // 2
        b.line(f"{here} = {name} = 0")
        with b.block(f"for {x} in {var.name}:"):
            b.line(f"{here} = max(0, {here} + {x} - {offset})")
            b.line(f"{name} = max({name}, {here})")
    b.add(Var("int", name, -most, most))


@step("ints", depth=2, levels="hard")
def knapsack(b: Builder, var: Var) -> None:
    """Count the ways to reach each sum, and give those of one."""
    b.use(var)
    ways, x, total = (
        b.name("ways", "dp", "reach"),
        b.local("x", "coin", "w"),
        b.local("t", "amount"),
    )
    goal = b.stream.between(12, 30)
    b.line(f"{ways} = [1] + [0] * {goal}")
    with b.block(f"for {x} in {var.name}:"):
        b.line(f"{x} = {x} % {b.stream.between(7, 11)} + 1")
        with b.block(f"for {total} in range({goal}, {x} - 1, -1):"):
            b.line(f"{ways}[{total}] += {ways}[{total} - {x}]")
    name = b.name("result", "answer", "count")
    lowest = goal - b.stream.between(3, 9)
    text, low, high = bounded(b, f"sum({ways}[{lowest}:])", 0, 2**var.max_size)
    b.line(f"{name} = {text}")
    b.add(Var("int", name, low, high))
