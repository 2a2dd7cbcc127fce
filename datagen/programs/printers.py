"""How programs end: every variable that nothing was computed from yet is printed."""

from datagen.programs.expressions import grown
from datagen.programs.scope import Builder, Var

MAX_PRINTED = 3


def print_rest(b: Builder) -> None:
    """Print all fresh variables, numbers together where it fits."""
    numbers = [var for var in b.fresh if var.kind == "int"]
    others = [var for var in b.fresh if var.kind != "int"]
    while len(numbers) > MAX_PRINTED:
        first, second, *numbers = numbers
        name = b.name("mixed", "both", "joint")
        expr = grown(b.stream, [first.expr, second.expr], 1, 10**9)
        b.line(f"{name} = {expr.text}")
        numbers.append(Var("int", name, expr.low, expr.high))
    for var in others:
        _print(b, var)
    if len(numbers) > 1 and b.stream.chance(0.6):
        b.line(f"print({', '.join(var.name for var in numbers)})")
    else:
        for var in numbers:
            b.line(f"print({var.name})")
    b.fresh.clear()


def _print(b: Builder, var: Var) -> None:
    if var.kind == "str":
        b.line(f"print({var.name})")
    elif var.kind == "ints":
        b.line(b.stream.choice((f"print(*{var.name})", f"print({var.name})")))
    elif var.kind == "words":
        joined = f"print('{b.stream.choice((' ', '-', ','))}'.join({var.name}))"
        b.line(b.stream.choice((joined, f"print(*{var.name})")))
    elif var.kind == "counts":
        key = b.local("k", "key", "name")
        with b.block(f"for {key} in sorted({var.name}):"):
            b.line(f"print({key}, {var.name}[{key}])")
    else:
        key, value = b.local("k", "key", "name"), b.local("v", "amount", "num")
        with b.block(f"for {key}, {value} in sorted({var.name}):"):
            b.line(f"print(f'{{{key}}}: {{{value}}}')")
