"""The built-in functions that programs may call, each paid for by what it reads and makes."""

import ast
from collections.abc import Callable, Iterator
from typing import Any

from reward_fns.evaluator.machine import Machine, NotEvaluable, OutOfBudget
from reward_fns.evaluator.operators import binary

MAX_DIGITS = 4300
"""Longest text that is read as a whole number, as in CPython."""
MAX_PLACES = 1000
"""Furthest digit that a number is rounded to."""
Function = Callable[..., Any]

_TYPES: dict[str, type] = {
    "bool": bool, "dict": dict, "float": float, "frozenset": frozenset, "int": int, "list": list,
    "set": set, "str": str, "tuple": tuple,
}  # fmt: skip
_PLAIN: dict[str, Function] = {
    "abs": abs, "bin": bin, "bool": bool, "chr": chr, "float": float, "hex": hex, "len": len,
    "oct": oct, "ord": ord, "range": range, "repr": repr, "str": str,
}  # fmt: skip
_OVER_ITEMS: dict[str, Function] = {
    "all": all, "any": any, "frozenset": frozenset, "list": list, "set": set, "tuple": tuple,
}  # fmt: skip


def functions_of(machine: Machine) -> dict[str, Function]:
    """Return every built-in function of a run, by name."""
    own = (_print, _input, _int, _round, _sum, _min, _max, _sorted, _dict, _divmod, _pow)
    lazy = (_enumerate, _zip, _map, _filter, _reversed, _isinstance)
    found = {function.__name__[1:]: _bound(machine, function) for function in (*own, *lazy)}
    found |= {name: _weighed(machine, function) for name, function in _PLAIN.items()}
    found |= {name: _over_items(machine, function) for name, function in _OVER_ITEMS.items()}
    return found


def _bound(machine: Machine, function: Function) -> Function:
    def call(*args: Any, **options: Any) -> Any:
        machine.charge()
        return function(machine, *args, **options)

    call.__name__ = function.__name__[1:]
    return call


def _weighed(machine: Machine, function: Function) -> Function:
    def call(*args: Any) -> Any:
        for value in args if function is not len else ():
            machine.weigh(value)
        machine.charge()
        return function(*args)

    call.__name__ = function.__name__
    return call


def _over_items(machine: Machine, function: Function) -> Function:
    def call(*args: Any) -> Any:
        machine.charge()
        return function(*(_hashable(machine, values) for values in args))

    call.__name__ = function.__name__
    return call


def _hashable(machine: Machine, values: Any) -> Iterator[Any]:
    """The items of something, each weighed as if it were to be hashed."""
    if isinstance(values, tuple | frozenset):
        machine.weigh(values)
    for item in values:
        machine.weigh_key(item)
        yield item


def _print(
    machine: Machine, *values: Any, sep: Any = None, end: Any = None, flush: Any = False
) -> None:
    for option in (sep, end):
        if option is not None and not isinstance(option, str):
            raise TypeError
    for value in values:
        machine.weigh(value)
    text = (" " if sep is None else sep).join(map(str, values))
    machine.write(text + ("\n" if end is None else end))


def _input(machine: Machine, prompt: Any = "") -> str:
    machine.weigh(prompt)
    machine.write(str(prompt))
    return machine.read_line()


def _int(machine: Machine, value: Any = 0, *base: Any) -> int:
    machine.weigh(value)
    if isinstance(value, str) and len(value.strip()) > MAX_DIGITS:
        raise ValueError
    return int(value, *base)


def _round(machine: Machine, number: Any, places: Any = None) -> Any:
    if isinstance(places, int) and abs(places) > MAX_PLACES:
        raise OutOfBudget
    machine.weigh(number)
    return round(number, places)


def _sum(machine: Machine, values: Any, start: Any = 0) -> Any:
    if isinstance(start, str):
        raise TypeError
    total = start
    for value in values:
        total = binary(machine, ast.Add, total, value)
    return total


def _extreme(machine: Machine, best: Function, values: Any, options: dict[str, Any]) -> Any:
    if not set(options) <= {"key", "default"}:
        raise TypeError
    found = list(machine.items(values[0] if len(values) == 1 else values))
    machine.weigh(found)
    return best(found, **options)


def _min(machine: Machine, *values: Any, **options: Any) -> Any:
    return _extreme(machine, min, values, options)


def _max(machine: Machine, *values: Any, **options: Any) -> Any:
    return _extreme(machine, max, values, options)


def _sorted(machine: Machine, values: Any, *, key: Any = None, reverse: Any = False) -> list[Any]:
    found = list(machine.items(values))
    charge_sorting(machine, found)
    return sorted(found, key=key, reverse=reverse)


def charge_sorting(machine: Machine, values: list[Any]) -> None:
    """Pay for sorting a list."""
    machine.weigh(values)
    machine.charge(len(values) * len(values).bit_length())


def _dict(machine: Machine, values: Any = (), **named: Any) -> dict[Any, Any]:
    if isinstance(values, dict):
        machine.charge(len(values))
        return dict(values, **named)
    return dict(_hashable(machine, values), **named)


def _divmod(machine: Machine, left: Any, right: Any) -> Any:
    return (
        binary(machine, ast.FloorDiv, left, right),
        binary(machine, ast.Mod, left, right),
    )


def _pow(machine: Machine, base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is None:
        return binary(machine, ast.Pow, base, exponent)
    for value in (base, exponent, modulus):
        if isinstance(value, int) and value.bit_length() > 256:
            raise OutOfBudget
    machine.charge(256)
    return pow(base, exponent, modulus)


def _enumerate(machine: Machine, values: Any, start: Any = 0) -> Any:
    return enumerate(machine.items(values), start)


def _zip(machine: Machine, *values: Any) -> Any:
    return zip(*(machine.items(each) for each in values), strict=False)


def _map(machine: Machine, function: Any, *values: Any) -> Any:
    if not values:
        raise TypeError
    return map(function, *(machine.items(each) for each in values))


def _filter(machine: Machine, function: Any, values: Any) -> Any:
    return filter(function, machine.items(values))


def _reversed(machine: Machine, values: Any) -> Any:
    return machine.items(reversed(values))


def _isinstance(machine: Machine, value: Any, kinds: Any) -> bool:
    given = kinds if isinstance(kinds, tuple) else (kinds,)
    names = [getattr(kind, "__name__", "") for kind in given]
    if not all(name in _TYPES for name in names):
        raise NotEvaluable("isinstance of another type")
    return isinstance(value, tuple(_TYPES[name] for name in names))
