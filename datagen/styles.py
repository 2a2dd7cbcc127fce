"""How a SAT problem is written: prompt, answer, env and difficulty, one problem at a time.

`affine` is the wording on which Affine's models are judged; `compact` is one token a word, for tiny
models. `columns.py` writes whole batches of the same texts.
"""

import json
from collections.abc import Sequence

UNSAT = "UNSAT"
COMPACT_END, COMPACT_WALK = " =", " walk"
"""What ends a compact prompt: asking for an assignment, or for a walk over the clauses."""

AFFINE_HEAD = (
    "Find a satisfying assignment for the following {k}-SAT formula over variables x1..x{n}:"
)
AFFINE_TAIL = (
    "Provide your answer as comma-separated assignments like `x1=True, x2=False, ...`, "
    "or respond `UNSAT` if it has no solution."
)


def prompt_text(style: str, num_vars: int, clauses: Sequence[Sequence[int]]) -> str:
    """Write the prompt of a formula; `k` in the affine wording is the longest clause's length."""
    if style == "compact":
        return " ; ".join(" ".join(f"{x:+d}" for x in clause) for clause in clauses) + COMPACT_END
    formula = " ∧ ".join(
        "(" + " ∨ ".join(f"x{x}" if x > 0 else f"¬x{-x}" for x in clause) + ")"
        for clause in clauses
    )
    head = AFFINE_HEAD.format(k=max(map(len, clauses)), n=num_vars)
    return f"{head}\n{formula}\n{AFFINE_TAIL}"


def num_compact_words(num_clauses: int, k: int) -> int:
    """Return how many words a compact prompt, or one that asks for a walk, has."""
    return num_clauses * (k + 1)  # behind each clause stands ";", behind the last what ends it


def answer_text(style: str, assignment: Sequence[bool] | None) -> str:
    """Write an assignment of x1..xn, or `UNSAT` for None."""
    if assignment is None:
        return UNSAT
    values = enumerate(assignment, 1)
    if style == "compact":
        return " ".join(f"{v if value else -v:+d}" for v, value in values)
    return ", ".join(f"x{v}={bool(value)}" for v, value in values)


def env_text(num_vars: int, clauses: Sequence[Sequence[int]], satisfiable: bool) -> str:
    """Write the JSON that the reward functions read."""
    payload = {
        "num_vars": num_vars,
        "k": max(map(len, clauses)),
        "clauses": [list(clause) for clause in clauses],
        "satisfiable": satisfiable,
    }
    return json.dumps(payload, separators=(",", ":"))


def difficulty_label(n: int, k: int, m: int) -> str:
    """Return the label by which reports group problems; k is told where it is not 3."""
    return f"n{n} m{m}" if k == 3 else f"n{n} k{k} m{m}"


def difficulty_text(n: int, k: int, m: int) -> str:
    """Write the difficulty of a problem."""
    label = difficulty_label(n, k, m)
    payload = {"label": label, "n": n, "k": k, "m": m, "ratio": round(m / n, 3)}
    return json.dumps(payload, separators=(",", ":"))
