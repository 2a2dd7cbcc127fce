"""What an answer to a SAT problem is worth: strictly, by clauses, or as upstream's evaluator does.

Usable alone in TRL: `GRPOTrainer(reward_funcs=[sat_reward_fn], …)` on rows with the columns `task`
and `env` (`{"num_vars", "k", "clauses", "satisfiable"}` as a JSON string).
"""

import re
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from reward_fns.answers import completion_text, final_answer
from reward_fns.assignments import UNSAT, read_assignment
from reward_fns.formulas import parse_env
from reward_fns.records import Score

TASK = "sat"
AFFINE_CHARS = 1_000_000
"""Longer replies score 0 under upstream's rule too: reading them all would take seconds."""

_CORRECT = Score(1.0, "correct")
_UNSATISFIED = Score(0.0, "unsatisfied_clause")
_AFFINE = re.compile(r"x(\d+)=(True|False|1|0)")


def score_sat(completion: str, env: str) -> Score:
    """Score 1 iff every variable is named once and every clause is satisfied, or for a right UNSAT.

    Raises ValueError for a broken env, never for a completion.
    """
    formula = parse_env(env)
    assignment, reason = _assignment(formula, completion)
    if assignment is None:
        return _without_assignment(formula.satisfiable, reason)
    return _correct(formula.satisfiable) if formula.holds(assignment) else _UNSATISFIED


def score_sat_fraction(completion: str, env: str) -> Score:
    """Score the fraction of satisfied clauses of a complete assignment; UNSAT as `score_sat`.

    Near 1 for any assignment at large k (1 - 2^-k of the clauses hold by chance).
    """
    formula = parse_env(env)
    assignment, reason = _assignment(formula, completion)
    if assignment is None:
        return _without_assignment(formula.satisfiable, reason)
    satisfied = formula.num_satisfied(assignment)
    if satisfied == formula.num_clauses:
        return _correct(formula.satisfiable)
    return Score(satisfied / formula.num_clauses, "unsatisfied_clause")


def score_sat_affine(completion: str, env: str) -> Score:
    """Score as Affine's evaluator: its pattern over the whole reply, the last match of each wins.

    Its leniency is kept (partial assignments, `x1=10` read as True, text of the prompt), except
    that an env without clauses raises ValueError and replies over 1,000,000 characters score 0.
    """
    formula = parse_env(env)
    if len(completion) > AFFINE_CHARS:
        return Score(0.0, "too_long")
    try:
        values = {int(number): value for number, value in _AFFINE.findall(completion)}
    except ValueError:  # more digits than int() reads; upstream's evaluator fails on these
        return Score(0.0, "too_long")
    assignment = formula.assign(
        variable if value in ("True", "1") else -variable
        for variable, value in values.items()
        if 1 <= variable <= formula.num_vars
    )
    if formula.holds(assignment):
        return _correct(formula.satisfiable)
    return _UNSATISFIED if values else Score(0.0, "no_answer")


def sat_reward_fn(
    prompts: Any = None,
    completions: Sequence[Any] = (),
    completion_ids: Any = None,
    trainer_state: Any = None,
    *,
    task: Sequence[str] | None = None,
    env: Sequence[str] = (),
    **columns: Any,
) -> list[float | None]:
    """Reward completions by `score_sat`, in TRL's protocol: None for other tasks."""
    return _rewards(score_sat, completions, task, env)


def sat_fraction_reward_fn(
    prompts: Any = None,
    completions: Sequence[Any] = (),
    completion_ids: Any = None,
    trainer_state: Any = None,
    *,
    task: Sequence[str] | None = None,
    env: Sequence[str] = (),
    **columns: Any,
) -> list[float | None]:
    """Reward completions by `score_sat_fraction`, in TRL's protocol."""
    return _rewards(score_sat_fraction, completions, task, env)


def sat_affine_reward_fn(
    prompts: Any = None,
    completions: Sequence[Any] = (),
    completion_ids: Any = None,
    trainer_state: Any = None,
    *,
    task: Sequence[str] | None = None,
    env: Sequence[str] = (),
    **columns: Any,
) -> list[float | None]:
    """Reward completions by `score_sat_affine`, in TRL's protocol."""
    return _rewards(score_sat_affine, completions, task, env)


def _rewards(
    score: Callable[[str, str], Score],
    completions: Sequence[Any],
    task: Sequence[str] | None,
    env: Sequence[str],
) -> list[float | None]:
    """Score each row of this task; a data set without a `task` column is all of this task."""
    tasks = repeat(TASK, len(completions)) if task is None else task
    return [
        score(completion_text(completion), payload).value if name == TASK else None
        for completion, name, payload in zip(completions, tasks, env, strict=True)
    ]


def _assignment(formula: Any, completion: str) -> tuple[Any, str]:
    """The assignment that a completion gives, in the formula's own form, or (None, why not)."""
    answer = final_answer(completion)
    words = answer.split(", ") if "=" in answer else answer.split()
    if len(words) == formula.num_vars:
        assignment = formula.read(words)
        if assignment is not None:
            return assignment, ""
    literals = read_assignment(answer, formula.num_vars)
    if isinstance(literals, str):
        return None, literals
    return formula.assign(literals), ""


def _without_assignment(satisfiable: bool, reason: str) -> Score:
    """Score an answer that is no assignment: UNSAT may be right, everything else is worth 0."""
    if reason != UNSAT:
        return Score(0.0, reason)
    return Score(0.0, "wrong_unsat") if satisfiable else _CORRECT


def _correct(satisfiable: bool) -> Score:
    """The score of an assignment that satisfies everything, unless the env denies that it can."""
    if not satisfiable:
        raise ValueError("env says satisfiable false, but an assignment satisfies every clause")
    return _CORRECT
