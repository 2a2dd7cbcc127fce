"""What a recorded challenge holds beside its prompt: the env that our own rewards read."""

import json
from typing import Any

from datagen.evaluations.fields import Dropped, field, text
from datagen.styles import difficulty_label, env_text

MAX_VARIABLES, MAX_LITERALS = 10_000, 1_000_000


def challenge_env(task: str, item: dict[str, Any]) -> tuple[str, str]:
    """Return the label and the env of a result's challenge; env `{}` but for SAT and ABD.

    Raises Dropped for a SAT challenge whose solution does not satisfy its clauses, or whose fields
    are not those of its task: nothing of a record is taken on trust.
    """
    if task == "sat":
        return _sat(item)
    if task == "abd":
        names = ("program", "expected_output")
        payload = {name: text(item, f"challenge.extra.{name}") for name in names}
        return "abd", json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return task, "{}"


def _sat(item: dict[str, Any]) -> tuple[str, str]:
    clauses, solution = _clauses(item), _solution(item)
    n = len(solution)
    if any(abs(x) > n for clause in clauses for x in clause):
        raise Dropped("invalid: challenge.extra.cls names a variable without a value")
    if not all(any(solution[abs(x)] == (x > 0) for x in clause) for clause in clauses):
        raise Dropped("invalid: challenge.extra.sol does not satisfy cls")
    label = difficulty_label(n, max(map(len, clauses)), len(clauses))
    return label, env_text(n, clauses, True)


def _clauses(item: dict[str, Any]) -> list[list[int]]:
    clauses = field(item, "challenge.extra.cls")
    if not (isinstance(clauses, list) and clauses):
        raise Dropped("invalid: challenge.extra.cls is no list of clauses")
    if not all(isinstance(clause, list) and clause for clause in clauses):
        raise Dropped("invalid: challenge.extra.cls is no list of clauses")
    if sum(map(len, clauses)) > MAX_LITERALS:
        raise Dropped(f"invalid: challenge.extra.cls is over {MAX_LITERALS:,} literals")
    if not all(type(x) is int and x for clause in clauses for x in clause):
        raise Dropped("invalid: challenge.extra.cls holds what is no literal")
    return clauses


def _solution(item: dict[str, Any]) -> dict[int, bool]:
    """The planted value of each variable 1..n."""
    found = field(item, "challenge.extra.sol")
    if not (isinstance(found, dict) and 0 < len(found) <= MAX_VARIABLES):
        raise Dropped("invalid: challenge.extra.sol is no assignment")
    names = [str(v) for v in range(1, len(found) + 1)]
    if not all(isinstance(found.get(name), bool) for name in names):
        raise Dropped("invalid: challenge.extra.sol is no assignment")
    return {v: found[name] for v, name in enumerate(names, 1)}
