"""What an answer to a SAT problem is worth: strictly, by clauses, or as upstream's evaluator does.

Usable alone in TRL: `GRPOTrainer(reward_funcs=[sat_reward_fn], …)` on rows with the columns `task`
and `env` (`{"num_vars", "k", "clauses", "satisfiable"}` as a JSON string).
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from reward_fns.answers import final_answer
from reward_fns.assignments import UNSAT, read_assignment
from reward_fns.formulas import parse_env
from reward_fns.protocol import reward_of
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
    return _judge(parse_env(env), completion)


def score_sat_fraction(completion: str, env: str) -> Score:
    """Score the fraction of satisfied clauses of a complete assignment; UNSAT as `score_sat`.

    Near 1 for any assignment at large k (1 - 2^-k of the clauses hold by chance).
    """
    return _judge_fraction(parse_env(env), completion)


def score_sat_affine(completion: str, env: str) -> Score:
    """Score as Affine's evaluator: its pattern over the whole reply, the last match of each wins.

    Its leniency is kept (partial assignments, `x1=10` read as True, text of the prompt), except
    that an env without clauses raises ValueError and replies over 1,000,000 characters score 0.
    """
    return _judge_affine(parse_env(env), completion)


@reward_of(TASK)
def sat_reward_fn(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Reward completions by `score_sat`, in TRL's protocol: None for other tasks."""
    return _score_all(_judge, completions, envs)


@reward_of(TASK)
def sat_fraction_reward_fn(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Reward completions by `score_sat_fraction`, in TRL's protocol."""
    return _score_all(_judge_fraction, completions, envs)


@reward_of(TASK)
def sat_affine_reward_fn(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Reward completions by `score_sat_affine`, in TRL's protocol."""
    return _score_all(_judge_affine, completions, envs)


def _score_all(
    judge: Callable[[Any, str], Score], completions: Sequence[str], envs: Sequence[str]
) -> list[Score]:
    scores: list[Score] = []
    formula = last = None
    for completion, payload in zip(completions, envs, strict=True):
        if payload is not last:  # the completions of a group share their row's env
            formula, last = parse_env(payload), payload
        scores.append(judge(formula, completion))
    return scores


def _judge(formula: Any, completion: str) -> Score:
    """Score 1 for a complete assignment that satisfies every clause, or for a right UNSAT."""
    answer = final_answer(completion)
    assignment = formula.read(answer)
    if assignment is None:
        assignment = _read_freely(formula, answer)
        if isinstance(assignment, str):
            return _without_assignment(formula.satisfiable, assignment)
    return _correct(formula.satisfiable) if formula.holds(assignment) else _UNSATISFIED


def _judge_fraction(formula: Any, completion: str) -> Score:
    """Score the fraction of satisfied clauses."""
    answer = final_answer(completion)
    assignment = formula.read(answer)
    if assignment is None:
        assignment = _read_freely(formula, answer)
        if isinstance(assignment, str):
            return _without_assignment(formula.satisfiable, assignment)
    satisfied = formula.num_satisfied(assignment)
    if satisfied == formula.num_clauses:
        return _correct(formula.satisfiable)
    return Score(satisfied / formula.num_clauses, "unsatisfied_clause")


def _judge_affine(formula: Any, completion: str) -> Score:
    """Score by upstream's rule."""
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


def _read_freely(formula: Any, answer: str) -> Any:
    """The assignment of an answer in any form, in the formula's own form, or a str: why not."""
    literals = read_assignment(answer, formula.num_vars)
    return literals if isinstance(literals, str) else formula.assign(literals)


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
