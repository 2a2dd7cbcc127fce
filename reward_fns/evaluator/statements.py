"""Statements, each made once into a function of the scope that it is done in."""

import ast
from collections.abc import Callable
from typing import Any

from reward_fns.evaluator.expressions import expression, function, parameters, several, target
from reward_fns.evaluator.machine import NotEvaluable
from reward_fns.evaluator.operators import BINARY, in_place
from reward_fns.evaluator.scope import Scope

BREAK, CONTINUE, RETURN = "break", "continue", "return"
Step = Callable[[Scope], str | None]
"""A statement, ready to be done; it tells how the block that it stands in ends, if it does."""


def block(nodes: list[ast.stmt]) -> Step:
    """Return what does statements in a row; NotEvaluable if one is unknown."""
    steps = [_statement(node) for node in nodes]

    def run(scope: Scope) -> str | None:
        for step in steps:
            scope.machine.charge()
            end = step(scope)
            if end is not None:
                return end
        return None

    return run


def _statement(node: ast.stmt) -> Step:
    make = STATEMENTS.get(type(node))
    if make is None:
        raise NotEvaluable(type(node).__name__)
    return make(node)


def _lone_expression(node: Any) -> Step:
    value = expression(node.value)

    def run(scope: Scope) -> None:
        value(scope)

    return run


def _assign(node: Any) -> Step:
    value, targets = expression(node.value), [target(each) for each in node.targets]

    def run(scope: Scope) -> None:
        found = value(scope)
        for assign in targets:
            assign(scope, found)

    return run


def _assign_in_place(node: Any) -> Step:
    right, kind = expression(node.value), type(node.op)
    if kind not in BINARY:
        raise NotEvaluable(kind.__name__)
    if isinstance(node.target, ast.Name):
        name = node.target.id

        def run(scope: Scope) -> None:
            left = scope.get(name)
            scope.set(name, in_place(scope.machine, kind, left, right(scope)))

        return run
    if not isinstance(node.target, ast.Subscript) or isinstance(node.target.slice, ast.Slice):
        raise NotEvaluable("OP= on this")
    owner, key = expression(node.target.value), expression(node.target.slice)

    def run_at(scope: Scope) -> None:
        found, place = owner(scope), key(scope)
        _charge_place(scope, found, place)
        left = found[place]
        found[place] = in_place(scope.machine, kind, left, right(scope))

    return run_at


def _if(node: Any) -> Step:
    test, then, other = expression(node.test), block(node.body), block(node.orelse)
    return lambda scope: then(scope) if test(scope) else other(scope)


def _for(node: Any) -> Step:
    values, assign = expression(node.iter), target(node.target)
    body, other = block(node.body), block(node.orelse)

    def run(scope: Scope) -> str | None:
        for item in scope.machine.items(values(scope)):
            assign(scope, item)
            end = body(scope)
            if end == BREAK:
                return None
            if end == RETURN:
                return end
        return other(scope)

    return run


def _while(node: Any) -> Step:
    test, body, other = expression(node.test), block(node.body), block(node.orelse)

    def run(scope: Scope) -> str | None:
        while test(scope):
            scope.machine.charge()
            end = body(scope)
            if end == BREAK:
                return None
            if end == RETURN:
                return end
        return other(scope)

    return run


def _return(node: Any) -> Step:
    value = expression(node.value)

    def run(scope: Scope) -> str:
        scope.result = value(scope)
        return RETURN

    return run


def _assert(node: Any) -> Step:
    test = expression(node.test)

    def run(scope: Scope) -> None:
        if not test(scope):
            raise AssertionError

    return run


def _delete(node: Any) -> Step:
    places = [each for each in node.targets if isinstance(each, ast.Subscript)]
    if len(places) < len(node.targets):
        raise NotEvaluable("del of a name")
    found = [(expression(each.value), expression(each.slice)) for each in places]

    def run(scope: Scope) -> None:
        for owner, key in found:
            values, place = owner(scope), key(scope)
            scope.machine.charge(len(values) // 16)
            _charge_place(scope, values, place)
            del values[place]

    return run


def _charge_place(scope: Scope, values: Any, place: Any) -> None:
    """Pay for reaching a place that is changed."""
    if isinstance(values, dict):
        scope.machine.hashed(place, len(values))
    elif not isinstance(values, list):
        raise NotEvaluable(f"a change in {type(values).__name__}")
    scope.machine.charge()


def _definition(node: Any) -> Step:
    if node.decorator_list or node.returns or getattr(node, "type_params", None):
        raise NotEvaluable("a decorator or an annotation")
    names, defaults = parameters(node.args)
    given, body, name = several(defaults), block(node.body), node.name
    shared = _declared_global(node)
    own = frozenset(names) | _assigned(node.body) - shared

    def value(scope: Scope) -> Any:
        body(scope)
        return scope.result

    def run(scope: Scope) -> None:
        scope.set(name, function(scope, names, given(scope), own, shared, value))

    return run


def _declared_global(node: ast.FunctionDef) -> frozenset[str]:
    found = [n.names for n in _own_nodes(node.body) if isinstance(n, ast.Global)]
    return frozenset(name for names in found for name in names)


def _assigned(nodes: list[ast.stmt]) -> frozenset[str]:
    """The names that a function's body gives a value, which therefore are its own."""
    names = {n.id for n in _own_nodes(nodes) if isinstance(n, ast.Name) and not _is_read(n)}
    return frozenset(names | {n.name for n in _own_nodes(nodes) if isinstance(n, ast.FunctionDef)})


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


_INNER = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


def _own_nodes(nodes: list[Any]) -> list[ast.AST]:
    """The nodes of a function's body without those of functions and comprehensions in it."""
    waiting, found = list(nodes), []
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.Lambda) and not isinstance(node, _INNER):
            waiting += ast.iter_child_nodes(node)
    return found


STATEMENTS: dict[type[ast.stmt], Callable[[Any], Step]] = {
    ast.Expr: _lone_expression, ast.Assign: _assign, ast.AugAssign: _assign_in_place, ast.If: _if,
    ast.For: _for, ast.While: _while, ast.Return: _return, ast.Assert: _assert,
    ast.Delete: _delete, ast.FunctionDef: _definition, ast.Pass: lambda node: lambda scope: None,
    ast.Global: lambda node: lambda scope: None, ast.Break: lambda node: lambda scope: BREAK,
    ast.Continue: lambda node: lambda scope: CONTINUE,
}  # fmt: skip
