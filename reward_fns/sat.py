"""What an answer to a SAT problem is worth: strictly, by clauses, or as upstream's evaluator does.

Usable alone in TRL: `GRPOTrainer(reward_funcs=[sat_reward_fn], …)` on rows with the columns `task`
and `env` (`{"num_vars", "k", "clauses", "satisfiable"}` as a JSON string).
"""

import re
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import repeat
from operator import or_
from typing import Any

from reward_fns.answers import completion_text, final_answer
from reward_fns.assignments import UNSAT, read_assignment
from reward_fns.formulas import Formula, parse_env
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
    covered = _coverage(formula, completion)
    if isinstance(covered, str):
        return _without_assignment(formula, covered)
    if covered != formula.full:
        return _UNSATISFIED
    return _correct(formula)


def score_sat_fraction(completion: str, env: str) -> Score:
    """Score the fraction of satisfied clauses of a complete assignment; UNSAT as `score_sat`.

    Near 1 for any text at large k (1 - 2^-k of the clauses hold by chance): see `score_sat`.
    """
    formula = parse_env(env)
    covered = _coverage(formula, completion)
    if isinstance(covered, str):
        return _without_assignment(formula, covered)
    if covered == formula.full:
        return _correct(formula)
    satisfied = (covered & ((1 << formula.num_clauses) - 1)).bit_count()
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
    masks, last = formula.masks, formula.num_vars
    covered = 0
    for variable, value in values.items():
        if 1 <= variable <= last:
            covered |= masks[variable if value in ("True", "1") else -variable]
    everything = (1 << formula.num_clauses) - 1
    if covered & everything == everything:
        return _correct(formula)
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


def _coverage(formula: Formula, completion: str) -> int | str:
    """The OR of the masks of the answer's literals, or why there is no assignment to judge."""
    answer = final_answer(completion)
    words = answer.split(", ") if "=" in answer else answer.split()
    if len(words) == formula.num_vars:
        try:
            covered = reduce(or_, map(formula.words.__getitem__, words))
        except KeyError:
            pass  # not spelled as in the two prompt styles: read as free text below
        else:
            if covered >> formula.num_clauses == formula.full >> formula.num_clauses:
                return covered
    literals = read_assignment(answer, formula.num_vars)
    if isinstance(literals, str):
        return literals
    return reduce(or_, map(formula.masks.__getitem__, literals))


def _without_assignment(formula: Formula, reason: str) -> Score:
    """Score an answer that is no assignment: UNSAT may be right, everything else is worth 0."""
    if reason != UNSAT:
        return Score(0.0, reason)
    return Score(0.0, "wrong_unsat") if formula.satisfiable else _CORRECT


def _correct(formula: Formula) -> Score:
    """The score of an assignment that satisfies everything, unless the env denies that it can."""
    if not formula.satisfiable:
        raise ValueError("env says satisfiable false, but an assignment satisfies every clause")
    return _CORRECT
