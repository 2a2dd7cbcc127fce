"""Arithmetic and comparisons, paid for before they are done."""

import ast
import operator
from collections.abc import Callable
from typing import Any

from reward_fns.evaluator.machine import (
    BITS_A_STEP,
    PROBES_A_STEP,
    Machine,
    NotEvaluable,
    OutOfBudget,
)

MAX_BITS = 14_000
"""Largest whole number; CPython writes and reads no more than 4,300 digits, which is above."""
Operation = Callable[[Any, Any], Any]
BINARY: dict[type[ast.operator], tuple[Operation, Operation]] = {
    ast.Add: (operator.add, operator.iadd),
    ast.Sub: (operator.sub, operator.isub),
    ast.Mult: (operator.mul, operator.imul),
    ast.Div: (operator.truediv, operator.itruediv),
    ast.FloorDiv: (operator.floordiv, operator.ifloordiv),
    ast.Mod: (operator.mod, operator.imod),
    ast.Pow: (operator.pow, operator.ipow),
    ast.LShift: (operator.lshift, operator.ilshift),
    ast.RShift: (operator.rshift, operator.irshift),
    ast.BitAnd: (operator.and_, operator.iand),
    ast.BitOr: (operator.or_, operator.ior),
    ast.BitXor: (operator.xor, operator.ixor),
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
COMPARE: dict[type[ast.cmpop], Operation] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
"""`in` and `not in` are `contains`."""


def binary(machine: Machine, kind: type[ast.operator], left: Any, right: Any) -> Any:
    """Return what an operator gives."""
    _charge_binary(machine, kind, left, right)
    return BINARY[kind][0](left, right)


def in_place(machine: Machine, kind: type[ast.operator], left: Any, right: Any) -> Any:
    """Return what `left OP= right` leaves in `left`, which a list or set is changed by."""
    if isinstance(left, list) and kind is ast.Add and not isinstance(right, list | tuple):
        left.extend(machine.items(right))  # what makes the items may read the list meanwhile
        return left
    if isinstance(left, list) and kind is ast.Add:
        machine.charge(1 + len(right))
    else:
        _charge_binary(machine, kind, left, right)
    return BINARY[kind][1](left, right)


def _charge_binary(machine: Machine, kind: type[ast.operator], left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _charge_whole(machine, kind, left, right)
    elif isinstance(left, int | float | complex) and isinstance(right, int | float | complex):
        machine.charge()
    elif kind is ast.Mult and isinstance(left, int):
        _charge_repeated(machine, right, left)
    elif kind is ast.Mult and isinstance(right, int):
        _charge_repeated(machine, left, right)
    elif kind is ast.Add and isinstance(left, str) and isinstance(right, str):
        machine.charge_text(len(left) + len(right))
    elif kind is ast.Add and type(left) is type(right) and isinstance(left, list | tuple):
        machine.charge(1 + len(left) + len(right))
    elif any(isinstance(left, k) and isinstance(right, k) for k in (set | frozenset, dict)):
        charge_merged(machine, left, right)
    else:
        raise NotEvaluable(f"{kind.__name__} of {type(left).__name__} and {type(right).__name__}")


def charge_merged(machine: Machine, left: Any, right: Any) -> None:
    """Pay for looking up the keys of either of two collections in the other."""
    steps = machine.weigh(left) + machine.weigh(right)
    if isinstance(right, range | str):
        steps += len(right)
    machine.charge(steps * (1 + (len(left) + len(right)) // PROBES_A_STEP))


def _charge_whole(machine: Machine, kind: type[ast.operator], left: int, right: int) -> None:
    """Pay for an operation on whole numbers, which may be large."""
    bits, other = left.bit_length(), right.bit_length()
    if kind is ast.Pow:
        made = bits * right if bits > 1 and right > 0 else 1
        cost = (made >> BITS_A_STEP) ** 2
    elif kind is ast.LShift:
        made = bits + max(right, 0) if left else 1
        cost = made >> BITS_A_STEP
    else:
        made = bits + other
        cost = (1 + (bits >> BITS_A_STEP)) * (1 + (other >> BITS_A_STEP)) - 1
    if made > MAX_BITS:
        raise OutOfBudget
    machine.charge(1 + cost)


def _charge_repeated(machine: Machine, value: Any, times: int) -> None:
    if isinstance(value, str):
        machine.charge_text(len(value) * max(times, 0))
    elif isinstance(value, list | tuple):
        machine.charge(1 + len(value) * max(times, 0))
    else:
        raise NotEvaluable(f"Mult of {type(value).__name__}")


def compare(machine: Machine, kind: type[ast.cmpop], left: Any, right: Any) -> bool:
    """Return whether a comparison holds."""
    if kind in (ast.In, ast.NotIn):
        return contains(machine, left, right) == (kind is ast.In)
    if kind not in (ast.Is, ast.IsNot):
        machine.weigh(left)
        machine.weigh(right)
    return COMPARE[kind](left, right)


def contains(machine: Machine, item: Any, values: Any) -> bool:
    """Return whether `item in values`."""
    if isinstance(values, str):
        machine.charge_search(len(values), len(item) if isinstance(item, str) else 0)
    elif isinstance(values, dict | set | frozenset):
        machine.hashed(item, len(values))
    elif isinstance(values, list | tuple):
        charge_sought(machine, item, values)
    elif isinstance(values, range) and isinstance(item, int):
        machine.charge()
    else:
        raise NotEvaluable(f"in {type(values).__name__}")
    return item in values


def charge_sought(machine: Machine, item: Any, values: list[Any] | tuple[Any, ...]) -> None:
    """Pay for comparing an item with each of a list."""
    machine.charge(machine.weigh(item) * (1 + len(values)))
