"""The env of a problem as Affine's formats and reward functions spell it."""

from typing import Any

from datagen.formats.rows import env_payload
from reward_fns.answers import final_answer
from reward_fns.assignments import read_assignment
from reward_fns.formulas import parse_env
from reward_fns.records import Problem


def affine_env(problem: Problem, format_name: str) -> dict[str, Any]:
    """Return `{"sat": {"cls", "sol"}, "abd": false}`, or the other way round for ABD.

    Raises ValueError naming the row for another task, and for a SAT row without a solution.
    """
    if problem.task == "sat":
        clauses = env_payload(problem).get("clauses")
        return {"sat": {"cls": clauses, "sol": _solution(problem, format_name)}, "abd": False}
    return {"sat": False, "abd": program_and_output(problem, format_name)}


def program_and_output(problem: Problem, format_name: str) -> dict[str, str]:
    """Return the program and the output of an ABD row; ValueError for a row of another task."""
    if problem.task != "abd":
        raise ValueError(
            f"format {format_name!r} carries sat and abd, and row {problem.id!r} is "
            f"{problem.task}: choose trl, verl or jsonl"
        )
    return {name: _text(problem, name) for name in ("program", "expected_output")}


def _text(problem: Problem, name: str) -> str:
    value = env_payload(problem).get(name)
    if not isinstance(value, str):
        raise ValueError(f"row {problem.id!r}: env has no text {name!r}")
    return value


def _solution(problem: Problem, format_name: str) -> dict[str, bool]:
    """The certified assignment, by number of the variable."""
    formula = parse_env(problem.env)
    literals = read_assignment(final_answer(problem.answer), formula.num_vars)
    if isinstance(literals, str) or not formula.holds(formula.assign(literals)):
        raise ValueError(
            f"format {format_name!r} needs a solution, and the answer of row {problem.id!r} is "
            "none: leave out unsatisfiable problems and demonstrations"
        )
    return {str(abs(literal)): literal > 0 for literal in sorted(literals, key=abs)}
