"""`sat_reward_fn` for the Gradients platform."""

import json
from typing import Any

from reward_fns.gradients.extras import rewards_of
from reward_fns.sat import score_sat


def sat_reward_fn(completions: Any, extra_data: Any = None, **kwargs: Any) -> list[float]:
    """Score 1.0 for an assignment of every variable that satisfies every clause, or a right UNSAT.

    0.0 for anything else. Reads extra_data: a JSON string {"task_type": "SAT", "cls": [[1, -2],
    ...], "num_vars": 2, "satisfiable": true} for each completion. Without num_vars the largest
    variable of the clauses is the last one; without satisfiable there is a solution. Rows of other
    tasks, and broken ones, score 0.0.
    """
    return rewards_of("SAT", judge_sat, completions, extra_data)


def judge_sat(text: str, extra: dict[str, Any]) -> float:
    """Return the strict reward of a completion; ValueError for a broken extra."""
    clauses = extra.get("cls")
    num_vars = extra["num_vars"] if "num_vars" in extra else _last_variable(clauses)
    env = {
        "num_vars": num_vars,
        "k": 0,
        "clauses": clauses,
        "satisfiable": extra.get("satisfiable", True),
    }
    return score_sat(text, json.dumps(env, separators=(",", ":"))).value or 0.0


def _last_variable(clauses: Any) -> int:
    try:
        return max(abs(literal) for clause in clauses for literal in clause)
    except TypeError:
        raise ValueError("cls holds no clauses") from None
