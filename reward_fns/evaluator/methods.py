"""The methods that programs may call on text and collections."""

from typing import Any

from reward_fns.evaluator.functions import charge_sorting
from reward_fns.evaluator.machine import Machine, NotEvaluable

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
_READ_ALL = frozenset(("count", "index", "remove"))
_CHEAP = frozenset(("add", "append", "discard", "get", "items", "keys", "values", "setdefault"))


def call_method(
    machine: Machine, value: Any, name: str, args: list[Any], options: dict[str, Any]
) -> Any:
    """Return what a method gives."""
    kind = type(value)
    if name not in METHODS.get(kind, ()):
        raise NotEvaluable(f"{kind.__name__}.{name}")
    if kind is str:
        args = _charge_text(machine, value, name, args)
    elif kind is list:
        args = _charge_list(machine, value, name, args)
    elif kind in (dict, set, frozenset):
        args = _charge_hashed(machine, value, name, args)
    machine.charge()
    result = getattr(value, name)(*args, **options)
    if isinstance(result, list | dict | set | frozenset):
        machine.charge(len(result))
    return result


def _charge_text(machine: Machine, value: str, name: str, args: list[Any]) -> list[Any]:
    machine.charge_text(len(value))
    for argument in args:
        machine.charge_text(len(argument) if isinstance(argument, str) else 0)
    if name == "join":
        args = [list(machine.items(argument)) for argument in args]
        sizes = [len(part) for parts in args for part in parts if isinstance(part, str)]
        machine.charge_text(sum(sizes) + len(value) * len(sizes))
    elif name in PADDING and args and isinstance(args[0], int):
        machine.charge_text(max(args[0], 0))
    elif name == "replace" and len(args) > 1 and all(isinstance(a, str) for a in args[:2]):
        machine.charge_text(value.count(args[0]) * len(args[1]))
    return args


def _charge_list(machine: Machine, value: list[Any], name: str, args: list[Any]) -> list[Any]:
    if name == "extend":
        return [list(machine.items(argument)) for argument in args]
    if name == "sort":
        charge_sorting(machine, value)
    elif name in _READ_ALL:
        machine.weigh(value)
        machine.weigh(args)
    elif name not in _CHEAP:
        machine.charge(len(value) // 16)
    return args


def _charge_hashed(machine: Machine, value: Any, name: str, args: list[Any]) -> list[Any]:
    if name in _CHEAP or name in ("pop", "popitem", "remove"):
        for argument in args:
            machine.weigh_key(argument)
        return args
    machine.charge(len(value))
    made: list[Any] = []
    for argument in args:
        if not isinstance(argument, dict):
            argument = list(machine.items(argument))
            for item in argument:
                machine.weigh_key(item)
        machine.charge(len(argument))
        made.append(argument)
    return made
