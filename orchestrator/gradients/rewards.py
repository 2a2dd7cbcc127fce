"""Reward functions that are registered at the platform, under the name of the function.

Its list has one function a name, of all accounts: a second one of the same name would hide the
first. So nothing is registered under a name that other code has.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from orchestrator.gradients.api import Api
from orchestrator.gradients.models import (
    Registered,
    RewardFunction,
    RewardFunctions,
    WeightedReward,
)

REWARDS = "/v1/grpo/reward_functions"
INJECTED = "restricted_execution"
"""What the platform puts into functions that name it."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a reward function, as the platform takes it."""

    name: str
    description: str
    code: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A function that is registered; `created` is False if it was already."""

    name: str
    reward_id: UUID
    created: bool


def check_source(code: str, shown: str) -> Source:
    """Return a source with its function's name; ValueError for what the platform refuses.

    `shown` is what messages call it.
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{shown} is no Python source: {type(error).__name__}") from None
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    others = [node for node in body if not isinstance(node, ast.FunctionDef | ast.Expr)]
    if len(functions) != 1 or others:
        raise ValueError(
            f"{shown} must hold one function and nothing else, with its imports in its body"
        )
    function = functions[0]
    names = [arg.arg for arg in function.args.args]
    if names[:1] != ["completions"] or function.args.kwarg is None:
        raise ValueError(
            f"{shown}: {function.name} must be of the form "
            "def f(completions, extra_data=None, **kwargs)"
        )
    first = (ast.get_docstring(function) or function.name).split("\n\n")[0]
    return Source(function.name, " ".join(first.split()), code)


class Rewards:
    """The registered reward functions."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def all(self) -> dict[str, RewardFunction]:
        """Return every function by its name."""
        return self._api.get(RewardFunctions, REWARDS).reward_functions

    def register(self, source: Source, weight: float = 1.0) -> Registration:
        """Register a function, or find it; ValueError if other code has its name."""
        found = self._find(source)
        if found is not None:
            return Registration(source.name, found, False)
        payload = {
            "name": source.name,
            "description": source.description,
            "code": source.code,
            "reward_weight": weight,
        }

        def read(body: bytes) -> UUID:
            return self._api.read(Registered, body).reward_id

        made = self._api.create(REWARDS, payload, read, lambda: self._find(source))
        return Registration(source.name, made, True)

    def weighted(self, wanted: Sequence[tuple[str, float]]) -> tuple[WeightedReward, ...]:
        """Return functions that are given by name or id, with their weights."""
        known: dict[str, RewardFunction] | None = None
        chosen = []
        for name, weight in wanted:
            reward_id = as_uuid(name)
            if reward_id is None:
                known = self.all() if known is None else known
                if name not in known:
                    raise ValueError(
                        f"--reward {name}: no such function is registered: see clutch gradients "
                        "rewards list, or register it"
                    )
                reward_id = known[name].reward_id
            chosen.append(WeightedReward(reward_id=reward_id, reward_weight=weight))
        return tuple(chosen)

    def _find(self, source: Source) -> UUID | None:
        found = self.all().get(source.name)
        if found is None:
            return None
        if _essence(found.code) != _essence(source.code):
            raise ValueError(
                f"another function is registered as {source.name}: export yours with --prefix"
            )
        return found.reward_id


def as_uuid(text: str) -> UUID | None:
    """Return a UUID that a text spells, None if it spells none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _essence(code: str) -> str:
    """What the platform keeps of a source: not its layout, comments, annotations or docstring."""
    try:
        function = next(n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef))
    except (SyntaxError, ValueError, StopIteration, RecursionError, MemoryError):
        return code
    function.returns, function.decorator_list = None, []
    for arg in ast.walk(function.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    injected = function.body[:1]
    if isinstance(injected[0], ast.FunctionDef) and injected[0].name == INJECTED:
        function.body = function.body[1:]
    if function.body and _is_text(function.body[0]):
        function.body = function.body[1:]
    return ast.dump(function)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
