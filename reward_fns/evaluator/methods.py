"""The methods that programs may call on text and collections."""

from collections.abc import Callable
from typing import Any

from reward_fns.evaluator.functions import charge_sorting, pairs_of
from reward_fns.evaluator.machine import Machine, NotEvaluable
from reward_fns.evaluator.operators import charge_merged, charge_sought

PADDING = frozenset({"center", "ljust", "rjust", "zfill"})
METHODS: dict[type, frozenset[str]] = {
    str: PADDING | frozenset((
        "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha",
        "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle",
        "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix",
        "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines",
        "startswith", "strip", "swapcase", "title", "upper",
    )),
    list: frozenset((
        "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove",
        "reverse", "sort",
    )),
    tuple: frozenset(("count", "index")),
    dict: frozenset((
        "clear", "copy", "get", "items", "keys", "pop", "popitem", "setdefault", "update",
        "values",
    )),
    set: frozenset((
        "add", "clear", "copy", "difference", "difference_update", "discard", "intersection",
        "intersection_update", "isdisjoint", "issubset", "issuperset", "pop", "remove",
        "symmetric_difference", "union", "update",
    )),
    frozenset: frozenset((
        "copy", "difference", "intersection", "isdisjoint", "issubset", "issuperset",
        "symmetric_difference", "union",
    )),
    int: frozenset(("bit_length",)),
    float: frozenset(("is_integer",)),
}  # fmt: skip
_OF_A_KEY = frozenset(("add", "discard", "get", "pop", "remove", "setdefault"))
_OF_NOTHING = frozenset(("items", "keys", "popitem", "values"))


def bound_method(machine: Machine, value: Any, name: str) -> Callable[..., Any]:
    """Return a method of a value."""
    kind = type(value)
    if name not in METHODS.get(kind, ()):
        raise NotEvaluable(f"{kind.__name__}.{name}")
    method = getattr(value, name)

    def call(*given: Any, **options: Any) -> Any:
        args = list(given)
        if kind is str:
            args = _charge_text(machine, value, name, args, options)
        elif kind is list or kind is tuple:
            args, options = _charge_list(machine, value, name, args, options)
        elif kind in (dict, set, frozenset):
            args = _charge_hashed(machine, value, name, args)
        result = method(*args, **options)
        if isinstance(result, list | dict | set | frozenset):
            machine.charge(len(result))
        return result

    return lambda *args, **options: machine.call(call, *args, **options)


def _charge_text(
    machine: Machine, value: str, name: str, args: list[Any], options: dict[str, Any]
) -> list[Any]:
    machine.charge_text(len(value))
    if name == "join":
        args = [list(machine.items(argument)) for argument in args]
        sizes = [len(part) for parts in args for part in parts if isinstance(part, str)]
        machine.charge_text(sum(sizes) + len(value) * len(sizes))
        return args
    for argument in (*args, *options.values()):
        if isinstance(argument, str):
            machine.charge_search(len(value), len(argument))
        else:
            machine.weigh(argument)
    if name in PADDING and args and isinstance(args[0], int):
        machine.charge_text(max(args[0], 0))
    elif name == "replace" and len(args) > 1 and all(isinstance(a, str) for a in args[:2]):
        machine.charge_text(value.count(args[0]) * len(args[1]))
    return args


def _charge_list(
    machine: Machine, value: Any, name: str, args: list[Any], options: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    if name == "extend":
        # What makes the items may read the list meanwhile.
        args = [a if isinstance(a, list | tuple) else machine.items(a) for a in args]
        machine.charge(sum(len(a) for a in args if isinstance(a, list | tuple)))
    elif name == "sort":
        options = charge_sorting(machine, value, options)
    elif name in ("count", "index", "remove"):
        for argument in args[:1]:
            charge_sought(machine, argument, value)
    elif name != "append":
        machine.charge(len(value) // 16)
    return args, options


def _charge_hashed(machine: Machine, value: Any, name: str, args: list[Any]) -> list[Any]:
    if name == "pop" and isinstance(value, set) and len(value) > 1:
        raise NotEvaluable("the order of a set")
    if name in _OF_A_KEY:
        for key in args[:1]:
            machine.hashed(key, len(value))
    elif name == "update" and isinstance(value, dict):
        return [pairs_of(machine, _whole(argument), len(value)) for argument in args]
    elif name not in _OF_NOTHING:
        machine.charge(len(value))
        for argument in args:
            charge_merged(machine, value, _whole(argument))
    return args


def _whole(values: Any) -> Any:
    """A collection; what makes items one after another may read what they are added to."""
    if not isinstance(values, str | list | tuple | range | set | frozenset | dict):
        raise NotEvaluable(f"items of {type(values).__name__} for a method")
    return values
