"""Programs that one process may run one after another, because no run can change the next.

A program is plain if it imports nothing, uses no name and no attribute but those of numbers, text
and collections, and so reaches nothing that outlives its own namespace: what it reads is data to
it and nothing else. Runs of plain programs share one guarded child of the sandbox: a batch of them
costs about as much as one run. Every other program has a child of its own for each run.
"""

import ast
import builtins
from functools import lru_cache

MAX_CHARS = 20_000
_NAMES = frozenset(
    (
        *("abs", "all", "any", "ascii", "bin", "bool", "bytes", "chr", "dict", "divmod", "float"),
        *("enumerate", "filter", "frozenset", "hex", "input", "int", "isinstance", "iter", "len"),
        *("list", "map", "max", "min", "next", "oct", "ord", "pow", "print", "range", "repr"),
        *("reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "zip"),
        *("True", "False", "None", "NotImplemented", "Ellipsis"),
    )
)
_ERRORS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
)
_BUILTINS = frozenset(dir(builtins)) - _NAMES - _ERRORS
_METHODS = frozenset(
    name
    for kind in (str, list, dict, set, frozenset, tuple, int, float, bytes)
    for name in dir(kind)
    if not name.startswith("_")
) - {"format", "format_map"}  # these look up attributes by names in text
_REFUSED = (
    *(ast.Import, ast.ImportFrom, ast.ClassDef, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith),
    *(ast.Await, ast.With, ast.Match),
    *(ast.Yield, ast.YieldFrom),  # what a generator does last may happen during a later run
)


@lru_cache(maxsize=65_536)
def is_plain(program: str) -> bool:
    """Whether no run of the program can change another run in the same process."""
    if len(program) > MAX_CHARS:
        return False
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_plain_node(node) for node in ast.walk(tree))


def _is_plain_node(node: ast.AST) -> bool:
    if isinstance(node, _REFUSED):
        return False
    if isinstance(node, ast.Attribute):
        return node.attr in _METHODS
    names = [node.id] if isinstance(node, ast.Name) else _bound_names(node)
    return all(_is_plain_name(name) for name in names)


def _bound_names(node: ast.AST) -> list[str]:
    """Names that a node binds without a Name of its own."""
    if isinstance(node, ast.FunctionDef | ast.ExceptHandler):
        return [node.name] if node.name else []
    if isinstance(node, ast.arg):
        return [node.arg]
    return list(node.names) if isinstance(node, ast.Global | ast.Nonlocal) else []


def _is_plain_name(name: str) -> bool:
    if name in ("_", "__name__"):
        return True
    return not name.startswith("__") and name not in _BUILTINS
