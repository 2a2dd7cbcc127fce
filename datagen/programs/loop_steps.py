"""Loops that carry a state over a list: what they carry and how it changes is drawn."""

from dataclasses import dataclass

from datagen.programs.expressions import Expr, condition, grown
from datagen.programs.scope import Builder, Var
from datagen.programs.steps import step


@dataclass(frozen=True, slots=True)
class State:
    """Something that a loop carries: how it begins, how it changes, what it holds afterwards."""

    first: str
    update: str
    after: Var


def _total(b: Builder, x: Expr, size: int) -> State:
    name = b.name("total", "acc", "s", "energy")
    term = grown(b.stream, [x], b.stream.below(2), 10**4)
    most = size * max(abs(term.low), abs(term.high), 1)
    sign = b.stream.choice(("+=", "+=", "-="))
    return State("0", f"{name} {sign} {term.text}", Var("int", name, -most, most))


def _remainder(b: Builder, x: Expr, size: int) -> State:
    name = b.name("h", "state", "code", "seed")
    factor, modulus = b.stream.between(2, 13), b.stream.choice((53, 97, 101, 211, 1009))
    text = f"{name} = ({name} * {factor} + {x.text}) % {modulus}"
    return State(str(b.stream.below(10)), text, Var("int", name, 0, modulus - 1))


def _extreme(b: Builder, x: Expr, size: int) -> State:
    name = b.name("best", "top", "peak", "record")
    term = grown(b.stream, [x], 1, 10**4)
    which, first = b.stream.choice((("max", term.low), ("min", term.high)))
    text = f"{name} = {which}({name}, {term.text})"
    return State(str(first), text, Var("int", name, term.low, term.high))


def _count(b: Builder, x: Expr, size: int) -> State:
    name = b.name("count", "hits", "cnt")
    gain = b.stream.between(1, 3)
    return State("0", f"{name} += {gain}", Var("int", name, 0, size * gain))


def _list(b: Builder, x: Expr, size: int) -> State:
    name = b.name("kept", "out", "result", "queue")
    term = grown(b.stream, [x], b.stream.below(2), 10**4)
    options = (f"{name}.append({term.text})", f"{name}.insert(0, {term.text})")
    after = Var("ints", name, term.low, term.high, 0, size)
    return State("[]", b.stream.choice((options[0], *options)), after)


MAKERS = (_total, _total, _remainder, _extreme, _count, _list)


@step("ints", depth=2, weight=4, levels="medium hard")
def carried(b: Builder, var: Var) -> None:
    """A loop over the elements, with one to three states that change under conditions."""
    b.use(var)
    x = b.local("x", "v", "num", "item")
    element = Expr(x, var.low, var.high)
    count = b.stream.between(1, 2 if b.knobs.depth < 3 else 3)
    makers = b.stream.shuffled(MAKERS)[:count]
    states = [make(b, element, var.max_size) for make in makers]
    for state in states:
        b.line(f"{state.after.name} = {state.first}")
    indexed = b.stream.chance(0.35)
    i = b.local("i", "j", "pos") if indexed else ""
    head = f"for {i}, {x} in enumerate({var.name}):" if indexed else f"for {x} in {var.name}:"
    tests = [element, *([Expr(i, 0, max(1, var.max_size - 1))] if indexed else [])]
    with b.block(head):
        _updates(b, [state.update for state in states], tests, b.knobs.depth - 1)
    for state in states:
        b.add(_after(state))


@step("ints", depth=1, weight=3, levels="easy")
def carried_simply(b: Builder, var: Var) -> None:
    """A loop over the elements that changes one number."""
    b.use(var)
    x = b.local("x", "v", "num")
    state = b.stream.choice((_total, _remainder))(b, Expr(x, var.low, var.high), var.max_size)
    b.line(f"{state.after.name} = {state.first}")
    with b.block(f"for {x} in {var.name}:"):
        b.line(state.update)
    b.add(_after(state))


def _after(state: State) -> Var:
    """What a state holds after the loop: at its first value too, if it was never changed."""
    var = state.after
    if var.kind != "int":
        return var
    first = int(state.first)
    return Var("int", var.name, min(var.low, first), max(var.high, first))


def _updates(b: Builder, updates: list[str], tests: list[Expr], depth: int) -> None:
    """Write the updates, some of them under conditions."""
    if depth < 1 or b.stream.chance(0.15):
        for update in updates:
            b.line(update)
        return
    if b.stream.chance(0.15):
        with b.block(f"if {condition(b.stream, b.stream.choice(tests))}:"):
            b.line("continue")
    first, *rest = b.stream.shuffled(updates)
    with b.block(f"if {condition(b.stream, b.stream.choice(tests))}:"):
        b.line(first)
        if len(rest) > 1:
            _updates(b, [rest.pop()], tests, depth - 1)
    if rest and b.stream.chance(0.6):
        with b.block("else:" if b.stream.chance(0.6) else _elif(b, tests)):
            _updates(b, rest, tests, depth - 1)
    else:
        for update in rest:
            b.line(update)


def _elif(b: Builder, tests: list[Expr]) -> str:
    return f"elif {condition(b.stream, b.stream.choice(tests))}:"
