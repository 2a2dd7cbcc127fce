"""Programs of two to five lines on a few small numbers, which a tiny model can learn to invert."""

from datagen.programs.expressions import Expr, condition, grown
from datagen.programs.inputs import Int, Row
from datagen.programs.knobs import MICRO_LIMIT, Knobs
from datagen.programs.scope import Builder, Draft
from datagen.stream import Stream

SINGLE, SEVERAL = ("n", "x", "a", "k", "m"), (("a", "b", "c"), ("x", "y", "z"), ("p", "q", "r"))


def micro_program(knobs: Knobs, stream: Stream) -> Draft:
    """Return a program that reads one line of numbers and prints one or two numbers."""
    builder = Builder(stream, knobs)
    atoms = _read(builder)
    forms = [_print_one, _print_one, _print_arranged, _print_arranged]
    if knobs.lines >= 3:
        forms += [_assign_then_print, _print_two if len(atoms) > 1 else _assign_then_print]
    if knobs.lines >= 4 and knobs.depth >= 2:
        forms += [_change_if]
    if knobs.lines >= 5 and knobs.depth >= 2:
        forms += [_print_either]
    stream.choice(forms)(builder, atoms)
    return builder.draft()


def _read(builder: Builder) -> list[Expr]:
    """Write the line that reads the numbers."""
    stream, knobs = builder.stream, builder.knobs
    count = 1 + stream.weighted([1, 2, 3][: knobs.inputs])
    if count == 1:
        names = [stream.choice(SINGLE)]
        builder.line(f"{names[0]} = int(input())")
    else:
        names = list(stream.choice(SEVERAL)[:count])
        builder.line(f"{', '.join(names)} = map(int, input().split())")
    builder.names.update(names)
    builder.shape.append(Row((Int(knobs.min_value, knobs.max_value),) * count))
    return [Expr(name, knobs.min_value, knobs.max_value) for name in names]


def _expression(builder: Builder, atoms: list[Expr]) -> Expr:
    stream, least = builder.stream, max(1, len(atoms) - 1)
    most = max(least, builder.knobs.depth)
    # The greater of two draws: there are few programs of few operations.
    operations = max(stream.between(least, most), stream.between(least, most))
    return grown(stream, atoms, operations, MICRO_LIMIT)


def _print_one(builder: Builder, atoms: list[Expr]) -> None:
    builder.line(f"print({_expression(builder, atoms).text})")


def _print_two(builder: Builder, atoms: list[Expr]) -> None:
    first, second = _expression(builder, atoms), _expression(builder, atoms[::-1])
    builder.line(f"print({first.text}, {second.text})")


def _print_arranged(builder: Builder, atoms: list[Expr]) -> None:
    """The numbers in another order, one of them perhaps twice, one of them perhaps changed."""
    stream = builder.stream
    places = stream.shuffled(atoms)
    if len(places) == 1 or stream.chance(0.3):
        places.append(stream.choice(atoms))
    if stream.chance(0.5):
        changed = stream.below(len(places))
        places[changed] = grown(stream, [places[changed]], 1, MICRO_LIMIT)
    builder.line(f"print({', '.join(place.text for place in places)})")


def _assign_then_print(builder: Builder, atoms: list[Expr]) -> None:
    made = _expression(builder, atoms)
    name = builder.name("y", "s", "t", "d")
    builder.line(f"{name} = {made.text}")
    value = Expr(name, made.low, made.high)
    used = [value] if builder.stream.chance(0.6) else [value, builder.stream.choice(atoms)]
    builder.line(f"print({grown(builder.stream, used, 1, MICRO_LIMIT).text})")


def _change_if(builder: Builder, atoms: list[Expr]) -> None:
    """One of the numbers is changed under a condition, then all are printed."""
    stream = builder.stream
    changed, *others = stream.shuffled(atoms)
    with builder.block(f"if {condition(stream, stream.choice(atoms))}:"):
        made = grown(stream, [changed], 1, MICRO_LIMIT)
        builder.line(f"{changed.text} = {made.text}")
    after = Expr(changed.text, min(changed.low, made.low), max(changed.high, made.high))
    builder.line(f"print({_expression(builder, [after, *others]).text})")


def _print_either(builder: Builder, atoms: list[Expr]) -> None:
    with builder.block(f"if {condition(builder.stream, builder.stream.choice(atoms))}:"):
        _print_one(builder, atoms)
    with builder.block("else:"):
        _print_one(builder, atoms)
