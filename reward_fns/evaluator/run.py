"""Runs a plain program on an input, by walking its syntax tree.

run_program("print(int(input()) * 2)", "4\\n")  # "8\\n"
"""

import ast
import builtins
import symtable
import sys
import warnings
from functools import lru_cache

from reward_fns.evaluator.machine import MAX_OUTPUT, Machine, NotEvaluable
from reward_fns.evaluator.scope import program_scope
from reward_fns.evaluator.statements import Step, block

MAX_PROGRAM_CHARS = 20_000
MAX_INPUT_CHARS = 100_000
FRAMES = 12_000
"""Python's own calls that a run may need inside each other, at most."""


def run_program(program: str, stdin: str) -> str | None:
    """Return what a program prints; None if it fails, does too much, or is not evaluable."""
    steps = _prepared(program)
    if isinstance(steps, str) or len(stdin) > MAX_INPUT_CHARS:
        return None
    machine = Machine(stdin)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + FRAMES)
    try:
        steps(program_scope(machine))
        text = "".join(machine.output)
        if len(text.encode()) > MAX_OUTPUT:
            return None
    except Exception:
        return None
    finally:
        sys.setrecursionlimit(limit)
    return text


def why_not_evaluable(program: str) -> str | None:
    """Return what of a program is not known here, which makes every answer to it score 0.

    None is no promise: what depends on values, as the type that a method is called on, or the
    budget, is only seen while the program runs.
    """
    steps = _prepared(program)
    return steps if isinstance(steps, str) else None


@lru_cache(maxsize=1024)
def _prepared(program: str) -> Step | str:
    """The steps of a program, or what of it is not known."""
    if len(program) > MAX_PROGRAM_CHARS:
        return "a long program"
    try:
        tree = _parsed(program)
        unknown = _unknown_names(tree)
        return f"the name {unknown[0]}" if unknown else block(tree.body)
    except NotEvaluable as refusal:
        return str(refusal)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "a program that cannot be parsed"


def _parsed(program: str) -> ast.Module:
    """A program's syntax tree; SyntaxError for what Python's compiler would refuse of it.

    `compile` itself is not used, since the platform refuses sources that run code.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(program)
        symtable.symtable(program, "<program>", "exec")
    if _misplaced(tree.body, in_function=False, in_loop=False):
        raise SyntaxError
    return tree


def _misplaced(nodes: list[ast.stmt], in_function: bool, in_loop: bool) -> bool:
    """Whether a return stands outside functions, or a break or continue outside loops."""
    for node in nodes:
        if isinstance(node, ast.Return) and not in_function:
            return True
        if isinstance(node, ast.Break | ast.Continue) and not in_loop:
            return True
        if isinstance(node, ast.FunctionDef) and _misplaced(node.body, True, False):
            return True
        if isinstance(node, ast.For | ast.While) and _misplaced(node.body, in_function, True):
            return True
        if isinstance(node, ast.If) and _misplaced(node.body, in_function, in_loop):
            return True
        if isinstance(node, ast.For | ast.While | ast.If) and _misplaced(
            node.orelse, in_function, in_loop
        ):
            return True
    return False


def _unknown_names(tree: ast.AST) -> list[str]:
    """Names of Python that a program reads, that there are not here, and that it does not set.

    Also all that begin with two underscores, which mean something to Python, but __name__.
    """
    known = program_scope(Machine("")).above
    assert known is not None
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        bound |= set(node.names) if isinstance(node, ast.Global) else set()
    read = {node.id for node in names} - bound
    unknown = {name for name in read - known.names.keys() if hasattr(builtins, name)}
    unknown |= {name for name in bound | (read - {"__name__"}) if name.startswith("__")}
    return sorted(unknown)
