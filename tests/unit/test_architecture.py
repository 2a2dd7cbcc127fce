"""The house: arrows point down only, there is no cycle, and each heavy library has one home."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARROWS = {
    "orchestrator": {"trainers", "datagen", "reward_fns"},
    "trainers": {"datagen", "reward_fns"},
    "datagen": {"reward_fns"},
    "reward_fns": set(),
}
HOMES = {
    "ray": "orchestrator",
    "mlflow": "orchestrator",
    "boto3": "orchestrator",
    "torch": "trainers",
    "transformers": "trainers",
}


@dataclass(frozen=True)
class Import:
    """One imported name, where it stands, and whether that is inside a function."""

    module: str
    target: str
    line: int
    inside: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path for package in ARROWS for path in sorted((ROOT / package).rglob("*.py"))
}


def targets(node: ast.AST, module: str) -> Iterator[str]:
    """Every module that an import statement may load, spelled absolutely."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = module.split(".")
        if FILES[module].name != "__init__.py":
            base = base[:-1]
        above = base[: len(base) - node.level + 1] if node.level else []
        stem = ".".join([*above, *([node.module] if node.module else [])])
        yield stem
        yield from (f"{stem}.{alias.name}" for alias in node.names)


def find_imports(module: str, source: str) -> Iterator[Import]:
    """Every import of a module's source, with whether it stands inside a function."""

    def walk(node: ast.AST, inside: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            for target in targets(child, module):
                yield Import(module, target, child.lineno, inside)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, inside or function)

    yield from walk(ast.parse(source), False)


def package_of(target: str) -> str:
    return target.partition(".")[0]


def forbidden(found: Import) -> str | None:
    """Why an import may not be, or None."""
    own, other = package_of(found.module), package_of(found.target)
    if other in ARROWS and other != own and other not in ARROWS[own]:
        return f"{found}: no arrow from {own} to {other}"
    if other in ARROWS and found.inside:
        return f"{found} inside a function"
    if other in HOMES and HOMES[other] != own:
        return f"{found}: {other} lives in {HOMES[other]}"
    return None


def cycle_in(graph: dict[str, set[str]]) -> list[str] | None:
    """A cycle of a graph of modules, or None."""
    state: dict[str, int] = {}

    def visit(module: str, path: list[str]) -> list[str] | None:
        state[module] = 1
        for other in sorted(graph.get(module, ())):
            if state.get(other) == 1:
                return [*path[path.index(other) :], other] if other in path else [module, other]
            if other not in state and (found := visit(other, [*path, other])):
                return found
        state[module] = 2
        return None

    for module in sorted(graph):
        if module not in state and (found := visit(module, [module])):
            return found
    return None


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_module_imports_only_what_the_plan_allows(module):
    imports = find_imports(module, FILES[module].read_text(encoding="utf-8"))
    assert [why for found in imports if (why := forbidden(found))] == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {
            found.target
            for found in find_imports(module, path.read_text(encoding="utf-8"))
            if found.target in FILES and found.target != module
        }
        for module, path in FILES.items()
    }
    # A package's own __init__ is loaded with each of its modules, which is no arrow of theirs.
    packages = {module for module, path in FILES.items() if path.name == "__init__.py"}
    graph = {module: others - packages for module, others in graph.items()}
    assert cycle_in(graph) is None


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("reward_fns", "import datagen.sat", "no arrow"),
        ("datagen", "from trainers import config", "no arrow"),
        ("trainers", "from orchestrator.cli import main", "no arrow"),
        ("trainers", "def f():\n    from reward_fns import sat", "inside a function"),
        ("datagen", "import torch.nn", "torch lives in trainers"),
        ("trainers", "from ray import train", "ray lives in orchestrator"),
        ("datagen", "def f():\n    import boto3", "boto3 lives in orchestrator"),
    ],
)
def test_the_check_sees_what_it_forbids(module, source, why):
    reasons = [forbidden(found) for found in find_imports(module, source)]
    assert any(why in reason for reason in reasons if reason)


def test_the_check_sees_cycles():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
