"""Expressions, each made once into a function of the scope that it is valued in."""

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reward_fns.evaluator.machine import NotEvaluable
from reward_fns.evaluator.methods import METHODS, bound_method
from reward_fns.evaluator.operators import BINARY, MAX_BITS, UNARY, binary, compare
from reward_fns.evaluator.scope import NO_NAMES, Scope, Value

ALL_METHODS = frozenset[str]().union(*METHODS.values())


def expression(node: ast.expr | None) -> Value:
    """Return what values an expression, None where there is none; NotEvaluable if unknown."""
    if node is None:
        return lambda scope: None
    make = EXPRESSIONS.get(type(node))
    if make is None:
        raise NotEvaluable(type(node).__name__)
    return make(node)


def _constant(node: Any) -> Value:
    value = node.value
    if not isinstance(value, str | int | float | None):
        raise NotEvaluable(f"a constant of type {type(value).__name__}")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise NotEvaluable("a large number")
    return lambda scope: value


def _name(node: Any) -> Value:
    name = node.id

    def value(scope: Scope) -> Any:
        scope.machine.charge()
        return scope.get(name)

    return value


def _binary(node: Any) -> Value:
    left, right, kind = expression(node.left), expression(node.right), type(node.op)
    if kind not in BINARY:
        raise NotEvaluable(kind.__name__)
    return lambda scope: binary(scope.machine, kind, left(scope), right(scope))


def _unary(node: Any) -> Value:
    operand, operation = expression(node.operand), UNARY[type(node.op)]

    def value(scope: Scope) -> Any:
        scope.machine.charge()
        return operation(operand(scope))

    return value


def _boolean(node: Any) -> Value:
    values, stops_at = [expression(part) for part in node.values], isinstance(node.op, ast.Or)

    def value(scope: Scope) -> Any:
        result = None
        for part in values:
            result = part(scope)
            if bool(result) is stops_at:
                break
        return result

    return value


def _comparison(node: Any) -> Value:
    first = expression(node.left)
    rest = [(type(op), expression(n)) for op, n in zip(node.ops, node.comparators, strict=True)]
    if any(op in (ast.Is, ast.IsNot) for op, _ in rest):
        _refuse_identity(node)

    def value(scope: Scope) -> Any:
        left = first(scope)
        for kind, part in rest:
            right = part(scope)
            if not compare(scope.machine, kind, left, right):
                return False
            left = right
        return True

    return value


def _refuse_identity(node: ast.Compare) -> None:
    """Refuse `is` but with None, True or False: which equal values are one is up to Python."""
    sides = [node.left, *node.comparators]
    single = [
        isinstance(side, ast.Constant) and (side.value is None or isinstance(side.value, bool))
        for side in sides
    ]
    for op, one, other in zip(node.ops, single, single[1:], strict=False):
        if isinstance(op, ast.Is | ast.IsNot) and not (one or other):
            raise NotEvaluable("is")


def _choice(node: Any) -> Value:
    test, then, other = expression(node.test), expression(node.body), expression(node.orelse)
    return lambda scope: then(scope) if test(scope) else other(scope)


def several(nodes: list[ast.expr]) -> Callable[[Scope], list[Any]]:
    """Return what values expressions in a row, those with a star spread out."""
    parts = [
        (expression(node.value), True)
        if isinstance(node, ast.Starred)
        else (expression(node), False)
        for node in nodes
    ]

    def values(scope: Scope) -> list[Any]:
        found: list[Any] = []
        for part, spread in parts:
            value = part(scope)
            if spread:
                found += scope.machine.items(value)
            else:
                found.append(value)
        scope.machine.charge(1 + len(parts))
        return found

    return values


def _list_display(node: Any) -> Value:
    return several(node.elts)


def _tuple_display(node: Any) -> Value:
    values = several(node.elts)
    return lambda scope: tuple(values(scope))


def _set_display(node: Any) -> Value:
    values = several(node.elts)

    def value(scope: Scope) -> Any:
        found: set[Any] = set()
        for item in values(scope):
            scope.machine.hashed(item, len(found))
            found.add(item)
        return found

    return value


def _dict_display(node: Any) -> Value:
    if None in node.keys:
        raise NotEvaluable("** in a dict")
    pairs = [(expression(k), expression(v)) for k, v in zip(node.keys, node.values, strict=True)]

    def value(scope: Scope) -> Any:
        return _as_dict(scope, ((key(scope), part(scope)) for key, part in pairs))

    return value


def _as_dict(scope: Scope, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        scope.machine.hashed(key, len(found))
        found[key] = value
    return found


def _attribute(node: Any) -> Value:
    owner, name = expression(node.value), node.attr
    if name not in ALL_METHODS:
        raise NotEvaluable(f".{name}")

    return lambda scope: bound_method(scope.machine, owner(scope), name)


def _call(node: Any) -> Value:
    function, args = expression(node.func), several(node.args)
    if any(word.arg is None for word in node.keywords):
        raise NotEvaluable("** in a call")
    options = [(word.arg, expression(word.value)) for word in node.keywords]

    def value(scope: Scope) -> Any:
        called = function(scope)
        given = args(scope)
        return called(*given, **{name: part(scope) for name, part in options})

    return value


def _subscript(node: Any) -> Value:
    owner, key = expression(node.value), expression(node.slice)

    def value(scope: Scope) -> Any:
        found, place = owner(scope), key(scope)
        if isinstance(found, dict):
            scope.machine.hashed(place, len(found))
        elif not isinstance(found, str | list | tuple | range):
            raise NotEvaluable(f"{type(found).__name__}[...]")
        scope.machine.charge(1 + (len(found) // 8 if isinstance(place, slice) else 0))
        return found[place]

    return value


def _slice(node: Any) -> Value:
    low, high, step = (expression(part) for part in (node.lower, node.upper, node.step))
    return lambda scope: slice(low(scope), high(scope), step(scope))


def _list_comprehension(node: Any) -> Value:
    values = _each(node, node.elt)
    return lambda scope: scope.machine.call(lambda: list(values(scope)))


def _set_comprehension(node: Any) -> Value:
    values = _each(node, node.elt)

    def made(scope: Scope) -> Any:
        found: set[Any] = set()
        for item in values(scope):
            scope.machine.hashed(item, len(found))
            found.add(item)
        return found

    return lambda scope: scope.machine.call(made, scope)


def _generator(node: Any) -> Value:
    values = _each(node, node.elt)
    return lambda scope: scope.machine.generated(values(scope))


def _dict_comprehension(node: Any) -> Value:
    values = _each(node, ast.Tuple([node.key, node.value], ast.Load()))
    return lambda scope: scope.machine.call(lambda: _as_dict(scope, values(scope)))


def _each(node: Any, element: ast.expr) -> Callable[[Scope], Iterator[Any]]:
    """Return what goes through a comprehension; its first iterable is valued at once."""
    loops = [_loop(part) for part in node.generators]
    own = frozenset(n.id for part in node.generators for n in ast.walk(part.target)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))  # fmt: skip
    value, first = expression(element), expression(node.generators[0].iter)

    def values(scope: Scope) -> Iterator[Any]:
        inner = Scope(scope.machine, scope, own)
        return _through(loops, 0, scope.machine.items(first(scope)), inner, value)

    return values


Loop = tuple[Value, Callable[[Scope, Any], None], list[Value]]


def _loop(part: ast.comprehension) -> Loop:
    if part.is_async:
        raise NotEvaluable("async for")
    return expression(part.iter), target(part.target), [expression(test) for test in part.ifs]


def _through(
    loops: list[Loop], number: int, items: Iterator[Any], scope: Scope, value: Value
) -> Iterator[Any]:
    _, assign, tests = loops[number]
    for item in items:
        assign(scope, item)
        if not all(test(scope) for test in tests):
            continue
        if number + 1 == len(loops):
            yield value(scope)
        else:
            more = scope.machine.items(loops[number + 1][0](scope))
            yield from _through(loops, number + 1, more, scope, value)


def _lambda(node: Any) -> Value:
    names, defaults = parameters(node.args)
    body, given = expression(node.body), several(defaults)

    def value(scope: Scope) -> Any:
        values = given(scope)
        return function(scope, names, values, frozenset(names), NO_NAMES, body)

    return value


def parameters(args: ast.arguments) -> tuple[list[str], list[ast.expr]]:
    """Return the names of parameters and the expressions of the last ones' defaults."""
    if args.vararg or args.kwarg or args.kwonlyargs or args.posonlyargs:
        raise NotEvaluable("parameters with a star or a slash")
    if any(arg.annotation for arg in args.args):
        raise NotEvaluable("an annotation")
    return [arg.arg for arg in args.args], args.defaults


def function(
    above: Scope,
    names: list[str],
    defaults: list[Any],
    own: frozenset[str],
    shared: frozenset[str],
    body: Value,
) -> Callable[..., Any]:
    """Return a function of the program's own."""
    machine = above.machine
    given = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))

    def call(*args: Any, **options: Any) -> Any:
        if len(args) > len(names):
            raise TypeError
        values = dict(zip(names, args, strict=False))
        if not options.keys() <= set(names) - values.keys():
            raise TypeError
        scope = Scope(machine, above, own, shared)
        scope.names = given | values | options
        if len(scope.names) < len(names):
            raise TypeError
        return machine.call(body, scope)

    return call


def target(node: ast.expr) -> Callable[[Scope, Any], None]:
    """Return what assigns a value to names, places and tuples of them."""
    if isinstance(node, ast.Name):
        name = node.id
        return lambda scope, value: scope.set(name, value)
    if isinstance(node, ast.Subscript):
        return _place(node)
    if isinstance(node, ast.Tuple | ast.List):
        return _unpacked(node.elts)
    raise NotEvaluable(f"assignment to {type(node).__name__}")


def _place(node: ast.Subscript) -> Callable[[Scope, Any], None]:
    owner, key = expression(node.value), expression(node.slice)

    def assign(scope: Scope, value: Any) -> None:
        found, place = owner(scope), key(scope)
        if isinstance(found, dict):
            scope.machine.hashed(place, len(found))
        elif not isinstance(found, list):
            raise NotEvaluable(f"assignment to a place of {type(found).__name__}")
        elif isinstance(place, slice):
            value = list(scope.machine.items(value))
            scope.machine.charge(1 + len(found))
        scope.machine.charge()
        found[place] = value

    return assign


def _unpacked(nodes: list[ast.expr]) -> Callable[[Scope, Any], None]:
    stars = [place for place, node in enumerate(nodes) if isinstance(node, ast.Starred)]
    if len(stars) > 1:
        raise NotEvaluable("two stars in an assignment")
    star = stars[0] if stars else None
    targets = [target(n.value if isinstance(n, ast.Starred) else n) for n in nodes]

    def assign(scope: Scope, value: Any) -> None:
        items = scope.machine.items(value)
        if star is None:
            found = [item for item, _ in zip(items, range(len(targets) + 1), strict=False)]
        else:
            found = list(items)
            after = len(targets) - star - 1
            if len(found) < len(targets) - 1:
                raise ValueError
            end = len(found) - after
            found = [*found[:star], found[star:end], *found[end:]]
        if len(found) != len(targets):
            raise ValueError
        for assign_one, item in zip(targets, found, strict=True):
            assign_one(scope, item)

    return assign


def _text(node: Any) -> Value:
    parts = [expression(part) for part in node.values]

    def value(scope: Scope) -> str:
        text = "".join(part(scope) for part in parts)
        scope.machine.charge_text(len(text))
        return text

    return value


MAX_WIDTH = 4
"""Longest format of a field, in characters, so that none is wide."""


def _field(node: Any) -> Value:
    inside, form = expression(node.value), expression(node.format_spec)
    if node.conversion not in (-1, ord("r"), ord("s")):
        raise NotEvaluable("!a")
    converted: dict[int, Callable[[Any], Any]] = {ord("r"): repr, ord("s"): str}
    convert = converted.get(node.conversion, lambda found: found)

    def value(scope: Scope) -> str:
        found = inside(scope)
        scope.machine.weigh(found, written=True)
        shape = form(scope) or ""
        if len(shape) > MAX_WIDTH or shape.endswith("n"):  # n: as the process's locale has it
            raise NotEvaluable("such a format")
        return format(convert(found), shape)

    return value


EXPRESSIONS: dict[type[ast.expr], Callable[[Any], Value]] = {
    ast.Constant: _constant, ast.Name: _name, ast.BinOp: _binary, ast.UnaryOp: _unary,
    ast.BoolOp: _boolean, ast.Compare: _comparison, ast.IfExp: _choice, ast.List: _list_display,
    ast.Tuple: _tuple_display, ast.Set: _set_display, ast.Dict: _dict_display,
    ast.Attribute: _attribute, ast.Call: _call, ast.Subscript: _subscript, ast.Slice: _slice,
    ast.ListComp: _list_comprehension,
    ast.SetComp: _set_comprehension, ast.DictComp: _dict_comprehension,
    ast.GeneratorExp: _generator, ast.Lambda: _lambda,
    ast.JoinedStr: _text, ast.FormattedValue: _field,
}  # fmt: skip
