"""A SAT problem's env, parsed once into bit masks, so that checking an answer is a few ORs.

Every literal has a mask: one bit for each clause that it satisfies, and above those one bit for its
variable. An answer of n literals is right iff the OR of their masks is full: then every clause is
satisfied and, there being only n literals, every variable is named exactly once.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed env: `masks[literal]` for literals ±1..±num_vars, `words` the same by spelling."""

    num_vars: int
    num_clauses: int
    satisfiable: bool
    clauses: list[list[int]]
    masks: list[int]
    words: dict[str, int]
    full: int


@lru_cache(maxsize=1024)
def parse_env(env: str) -> Formula:
    """Parse the env of a SAT problem; the last 1,024 are kept.

    Raises ValueError for an env that is not `{"num_vars", "clauses", "satisfiable"}` with at least
    one clause, each of non-zero integers within ±num_vars: such data is ours, and broken.
    """
    try:
        payload = json.loads(env)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"env is not JSON: {str(env)[:80]!r}") from None
    num_vars, clauses, satisfiable = _checked(payload, env)
    num_clauses = len(clauses)
    masks = list(_variable_bits(num_vars, num_clauses))
    bit = 1
    for clause in clauses:
        for literal in clause:
            masks[literal] |= bit
        bit <<= 1
    spelled = masks[1:]
    words = dict(zip(_spellings(num_vars), spelled + spelled, strict=True))
    full = (1 << (num_clauses + num_vars)) - 1
    return Formula(num_vars, num_clauses, satisfiable, clauses, masks, words, full)


def _checked(payload: Any, env: str) -> tuple[int, list[list[int]], bool]:
    """Return (num_vars, clauses, satisfiable) of a payload; ValueError names the fault."""
    if not isinstance(payload, dict):
        raise ValueError(f"env is not a JSON object: {env[:80]!r}")
    num_vars, clauses = payload.get("num_vars"), payload.get("clauses")
    if type(num_vars) is not int or num_vars < 1:
        raise ValueError(f"env num_vars is {num_vars!r}: it must be a positive integer")
    if type(payload.get("satisfiable")) is not bool:
        raise ValueError(f"env satisfiable is {payload.get('satisfiable')!r}: it must be a boolean")
    if not isinstance(clauses, list) or not clauses:
        raise ValueError(f"env clauses is {str(clauses)[:80]}: it must be a non-empty list")
    if set(map(type, clauses)) != {list} or not all(clauses):
        raise ValueError("env clauses must be non-empty lists of literals")
    literals = list(chain.from_iterable(clauses))
    if set(map(type, literals)) != {int} or 0 in literals:
        raise ValueError("env clauses must hold non-zero integers only")
    if max(literals) > num_vars or min(literals) < -num_vars:
        raise ValueError(f"env clauses name a variable beyond num_vars {num_vars}")
    return num_vars, clauses, payload["satisfiable"]


@lru_cache(maxsize=64)
def _variable_bits(num_vars: int, num_clauses: int) -> tuple[int, ...]:
    """The masks before any clause, so ordered that a literal is its own (signed) list index."""
    bits = [1 << (num_clauses + variable) for variable in range(num_vars)]
    return (0, *bits, *reversed(bits))


@lru_cache(maxsize=64)
def _spellings(num_vars: int) -> tuple[str, ...]:
    """How the two prompt styles write the literals 1..n, -n..-1: `x1=True` first, then `+1`."""
    up, down = range(1, num_vars + 1), range(num_vars, 0, -1)
    return (
        *(f"x{v}=True" for v in up),
        *(f"x{v}=False" for v in down),
        *(f"+{v}" for v in up),
        *(f"-{v}" for v in down),
    )
