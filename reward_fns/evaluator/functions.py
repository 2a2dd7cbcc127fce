"""The built-in functions that programs may call, each paid for by what it reads and makes."""

import ast
from collections.abc import Callable
from typing import Any

from reward_fns.evaluator.machine import Machine, NotEvaluable, OutOfBudget
from reward_fns.evaluator.operators import MAX_BITS, binary

MAX_DIGITS = 4000
"""Longest text that is read as a number."""
MAX_PLACES = 1000
"""Furthest digit that a number is rounded to."""
Function = Callable[..., Any]

_TYPES: dict[str, type] = {
    "bool": bool, "dict": dict, "float": float, "frozenset": frozenset, "int": int, "list": list,
    "set": set, "str": str, "tuple": tuple,
}  # fmt: skip
_PLAIN: dict[str, Function] = {
    "abs": abs, "bin": bin, "bool": bool, "chr": chr, "hex": hex, "len": len, "oct": oct,
    "ord": ord, "range": range,
}  # fmt: skip
_WRITTEN: dict[str, Function] = {"repr": repr, "str": str}
_OVER_ITEMS: dict[str, Function] = {"all": all, "any": any, "list": list, "tuple": tuple}
_OVER_KEYS: dict[str, Function] = {"frozenset": frozenset, "set": set}


def functions_of(machine: Machine) -> dict[str, Function]:
    """Return every built-in function of a run, by name."""
    own = (_print, _input, _int, _float, _round, _sum, _min, _max, _sorted, _dict, _divmod, _pow)
    lazy = (_enumerate, _zip, _map, _filter, _reversed)
    found = {function.__name__[1:]: _bound(machine, function) for function in (*own, *lazy)}
    found |= {name: _plain(machine, function) for name, function in _PLAIN.items()}
    found |= {name: _written(machine, function) for name, function in _WRITTEN.items()}
    found |= {name: _over_items(machine, function) for name, function in _OVER_ITEMS.items()}
    found |= {name: _over_keys(machine, function) for name, function in _OVER_KEYS.items()}
    return found | {"isinstance": _isinstance({found[name]: kind for name, kind in _TYPES.items()})}


def _bound(machine: Machine, function: Function) -> Function:
    return lambda *args, **options: machine.call(function, machine, *args, **options)


def _plain(machine: Machine, function: Function) -> Function:
    return lambda *args: machine.call(function, *args)


def _written(machine: Machine, function: Function) -> Function:
    def call(*args: Any) -> Any:
        for value in args:
            machine.weigh(value, written=True)
        return function(*args)

    return call


def _over_items(machine: Machine, function: Function) -> Function:
    return lambda *args: machine.call(function, *(machine.items(values) for values in args))


def _over_keys(machine: Machine, function: Function) -> Function:
    def call(*args: Any) -> Any:
        found: set[Any] = set()
        for values in args:
            for item in values if isinstance(values, set | frozenset) else machine.items(values):
                machine.hashed(item, len(found))
                found.add(item)
        return function(*(found for _ in args))

    return lambda *args: machine.call(call, *args)


def _print(
    machine: Machine, /, *values: Any, sep: Any = None, end: Any = None, flush: Any = False
) -> None:
    for option in (sep, end):
        if option is not None and not isinstance(option, str):
            raise TypeError
    for value in values:
        machine.weigh(value, written=True)
    text = (" " if sep is None else sep).join(map(str, values))
    machine.write(text + ("\n" if end is None else end))


def _input(machine: Machine, prompt: Any = "", /) -> str:
    machine.weigh(prompt, written=True)
    machine.write(str(prompt))
    return machine.read_line()


def _int(machine: Machine, /, *args: Any) -> int:
    machine.weigh(args)
    if args and isinstance(args[0], str) and len(args[0]) > MAX_DIGITS:
        raise OutOfBudget
    number = int(*args)
    if number.bit_length() > MAX_BITS:
        raise OutOfBudget
    return number


def _float(machine: Machine, /, *args: Any) -> float:
    machine.weigh(args)
    if args and isinstance(args[0], str) and len(args[0]) > MAX_DIGITS:
        raise OutOfBudget
    return float(*args)


def _round(machine: Machine, number: Any, places: Any = None, /) -> Any:
    if isinstance(places, int) and abs(places) > MAX_PLACES:
        raise OutOfBudget
    machine.weigh(number)
    return round(number, places)


def _sum(machine: Machine, values: Any, /, start: Any = 0) -> Any:
    if isinstance(start, str):
        raise TypeError
    total = start
    for value in _in_any_order(machine, values):
        total = binary(machine, ast.Add, total, value)
        if isinstance(total, float | complex):  # newer versions of Python round it otherwise
            raise NotEvaluable("a sum of floats")
    return total


def _in_any_order(machine: Machine, values: Any) -> list[Any]:
    """The items of something, for a function to which the order of a set does not matter."""
    if not isinstance(values, set | frozenset) or len(values) < 2:
        return list(machine.items(values))
    kinds = {type(item) for item in values}
    if not kinds <= {int, bool} and kinds != {str}:
        raise NotEvaluable("the order of a set")
    machine.charge(len(values))
    return list(values)


def _extreme(machine: Machine, best: Function, values: Any, options: dict[str, Any]) -> Any:
    if len(values) == 1:
        given = machine.items if options.get("key") is not None else _items_in_any_order(machine)
        values = [list(given(values[0]))]
    machine.weigh(list(values))
    return best(*values, **_weighed_key(machine, options, 1))


def _items_in_any_order(machine: Machine) -> Function:
    return lambda values: _in_any_order(machine, values)


def _weighed_key(machine: Machine, options: dict[str, Any], times: int) -> dict[str, Any]:
    """The options of a function that compares, whose key pays for what it gives so many times."""
    key = options.get("key")
    if key is None:
        return options

    def weighed(item: Any) -> Any:
        found = key(item)
        machine.charge(machine.weigh(found) * times)
        return found

    return {**options, "key": weighed}


def _min(machine: Machine, /, *values: Any, **options: Any) -> Any:
    return _extreme(machine, min, values, options)


def _max(machine: Machine, /, *values: Any, **options: Any) -> Any:
    return _extreme(machine, max, values, options)


def _sorted(machine: Machine, values: Any, /, **options: Any) -> list[Any]:
    given = machine.items if options.get("key") is not None else _items_in_any_order(machine)
    found = list(given(values))
    return sorted(found, **charge_sorting(machine, found, options))


def charge_sorting(machine: Machine, values: list[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Pay for sorting a list; returns the options with which it is sorted."""
    times = len(values).bit_length()
    machine.charge(machine.weigh(values) * times)
    return _weighed_key(machine, options, times)


def _dict(machine: Machine, values: Any = (), /, **named: Any) -> dict[Any, Any]:
    return dict(pairs_of(machine, values, 0), **named)


def pairs_of(machine: Machine, values: Any, num_keys: int) -> list[tuple[Any, Any]]:
    """The keys and values of a dict, or of something with pairs, paid for beside other keys."""
    found: list[tuple[Any, Any]] = []
    for item in values.items() if isinstance(values, dict) else machine.items(values):
        key, value = machine.items(item)
        machine.hashed(key, num_keys + len(found))
        found.append((key, value))
    return found


def _divmod(machine: Machine, left: Any, right: Any, /) -> Any:
    binary(machine, ast.FloorDiv, left, right)
    return divmod(left, right)


def _pow(machine: Machine, base: Any, exponent: Any, modulus: Any = None, /) -> Any:
    if modulus is None:
        return binary(machine, ast.Pow, base, exponent)
    for value in (base, exponent, modulus):
        if not isinstance(value, int) or value.bit_length() > 256:
            raise OutOfBudget
    machine.charge(256)
    return pow(base, exponent, modulus)


def _enumerate(machine: Machine, values: Any, /, start: Any = 0) -> Any:
    return enumerate(machine.items(values), start)


def _zip(machine: Machine, /, *values: Any) -> Any:
    return zip(*(machine.items(each) for each in values), strict=False)


def _map(machine: Machine, function: Any, /, *values: Any) -> Any:
    if not values:
        raise TypeError
    return map(function, *(machine.items(each) for each in values))


def _filter(machine: Machine, function: Any, values: Any, /) -> Any:
    return filter(function, machine.items(values))


def _reversed(machine: Machine, values: Any, /) -> Any:
    return machine.items(reversed(values))


def _isinstance(types: dict[Function, type]) -> Function:
    def call(value: Any, kinds: Any, /) -> bool:
        given = kinds if isinstance(kinds, tuple) else (kinds,)
        if not all(callable(kind) and kind in types for kind in given):
            raise NotEvaluable("isinstance of another type")
        return isinstance(value, tuple(types[kind] for kind in given))

    return call
