"""Certifies formulas with CaDiCaL through python-sat."""

from collections.abc import Sequence

from pysat.solvers import Solver

SOLVER = "cadical195"


def solve(num_vars: int, clauses: Sequence[Sequence[int]]) -> list[bool] | None:
    """Return an assignment of x1..xn that satisfies every clause, or None if there is none.

    The assignment is checked here; that there is none rests on the solver. Variables in no clause
    are False.
    """
    with Solver(name=SOLVER, bootstrap_with=clauses) as solver:
        if not solver.solve():
            return None
        model = solver.get_model() or []
    values = [False] * num_vars
    for literal in model:
        if 1 <= literal <= num_vars:
            values[literal - 1] = True
    if not satisfies(values, clauses):
        raise RuntimeError(f"{SOLVER} gave a model that does not satisfy the formula")
    return values


def satisfies(values: Sequence[bool], clauses: Sequence[Sequence[int]]) -> bool:
    """Whether an assignment of x1..xn satisfies every clause."""
    true = {v if value else -v for v, value in enumerate(values, 1)}
    return not any(map(true.isdisjoint, clauses))
