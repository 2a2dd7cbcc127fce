"""Where names are: of the program, of a function, of a comprehension."""

from collections.abc import Callable
from typing import Any

from reward_fns.evaluator.functions import functions_of
from reward_fns.evaluator.machine import Machine

NO_NAMES: frozenset[str] = frozenset()


class Scope:
    """Names and their values.

    `own` are the names that belong here even before they have a value; `shared` those that a
    function declares global.
    """

    __slots__ = ("above", "machine", "names", "own", "result", "shared", "top")

    def __init__(
        self,
        machine: Machine,
        above: "Scope | None" = None,
        own: frozenset[str] = NO_NAMES,
        shared: frozenset[str] = NO_NAMES,
    ) -> None:
        self.machine, self.above, self.own, self.shared = machine, above, own, shared
        self.names: dict[str, Any] = {}
        self.top: Scope = self if above is None else above.top
        self.result: Any = None

    def get(self, name: str) -> Any:
        """Return a name's value; NameError if it has none yet."""
        scope = self
        while scope is not None:
            if name in scope.shared:
                scope = self.top
            if name in scope.names:
                return scope.names[name]
            if name in scope.own:
                raise NameError(name)
            scope = scope.above  # type: ignore[assignment]
        raise NameError(name)

    def set(self, name: str, value: Any) -> None:
        """Give a name a value."""
        (self.top if name in self.shared else self).names[name] = value


def program_scope(machine: Machine) -> Scope:
    """Return the scope of a program, above which are the built-in functions."""
    builtins = Scope(machine)
    builtins.names = {**functions_of(machine), "__name__": "__main__"}
    scope = Scope(machine, builtins)
    scope.top = scope
    return scope


Value = Callable[[Scope], Any]
"""An expression, ready to be valued."""
