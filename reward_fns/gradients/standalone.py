"""Writes a reward function's self-contained source: all that it needs of this package, inside it.

The definitions are taken from our own modules as they are, without comments, annotations and inner
docstrings, so that the function agrees with ours because it is ours.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "reward_fns"
ENTRIES = {
    "sat": (f"{PACKAGE}.gradients.sat", "sat_reward_fn"),
    "abd": (f"{PACKAGE}.gradients.abd", "abd_reward_fn"),
}
"""The functions that there are, by the reward's name."""


@dataclass
class Module:
    """A module's definitions and imports by name; `needed` are the definitions to take."""

    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    ours: dict[str, tuple[str, str]] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)


def function_name(reward: str, prefix: str = "") -> str:
    """Return what the function of a reward is called; ValueError for an unknown one."""
    if reward not in ENTRIES:
        raise ValueError(f"reward {reward!r} has no source: use one of {', '.join(ENTRIES)}")
    name = f"{prefix}{ENTRIES[reward][1]}"
    if not name.isascii() or not name.isidentifier():
        raise ValueError(f"prefix {prefix!r} makes no name: use ASCII letters, digits and _")
    return name


def standalone_source(reward: str, prefix: str = "") -> str:
    """Return the source of a reward's function, which needs Python 3.10 and nothing else.

    `prefix` goes before its name. Raises ValueError for an unknown reward.
    """
    name = function_name(reward, prefix)
    entry_module, entry_name = ENTRIES[reward]
    modules: dict[str, Module] = {}
    _take(modules, entry_module, entry_name)
    entry = modules[entry_module].definitions[entry_name]
    assert isinstance(entry, ast.FunctionDef)
    modules[entry_module].needed.remove(entry_name)
    docstring, *own = entry.body
    entry.body = [docstring, *_imports(modules), *_definitions(modules), *own]
    entry.name = name
    return ast.unparse(ast.fix_missing_locations(entry)) + "\n"


def _take(modules: dict[str, Module], module_name: str, name: str) -> None:
    """Mark a definition as needed, and all that it uses."""
    if module_name not in modules:
        modules[module_name] = _read(module_name)
        # A module's place is after those that it imports from: they are read first.
        for other, _ in modules[module_name].ours.values():
            if other not in modules:
                modules[other] = _read(other)
    module = modules[module_name]
    if name in module.ours:
        _take(modules, *module.ours[name])
    elif name in module.definitions and name not in module.needed:
        module.needed.add(name)
        for used in _names(module.definitions[name]):
            _take(modules, module_name, used)
    elif name in module.foreign:
        module.needed.add(name)


def _read(module_name: str) -> Module:
    spec = find_spec(module_name)
    assert spec is not None and spec.origin is not None
    module = Module()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            module.foreign |= {a.asname or a.name: ast.unparse(node) for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            _read_import(module, node)
        else:
            bare = _Bare().visit(node)
            module.definitions |= dict.fromkeys(_defined(node), bare)
    return module


def _read_import(module: Module, node: ast.ImportFrom) -> None:
    source = node.module or ""
    for alias in node.names:
        name = alias.asname or alias.name
        if source.split(".")[0] == PACKAGE:
            module.ours[name] = (source, alias.name)
        else:
            module.foreign[name] = f"from {source} import {alias.name}"


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else []
    for target in [*targets, *([node.target] if isinstance(node, ast.AnnAssign) else [])]:
        yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))


def _names(node: ast.AST) -> Iterator[str]:
    return (n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def _imports(modules: dict[str, Module]) -> list[ast.stmt]:
    lines = {line for m in modules.values() for name, line in m.foreign.items() if name in m.needed}
    return [node for line in sorted(lines) for node in ast.parse(line).body]


def _definitions(modules: dict[str, Module]) -> list[ast.stmt]:
    """Every needed definition, those of imported modules first; no two may share a name."""
    taken: dict[str, str] = {}
    nodes: list[ast.stmt] = []
    for module_name in _in_order(modules):
        module = modules[module_name]
        for name in module.definitions:
            if name not in module.needed:
                continue
            assert name not in taken, f"{module_name} and {taken[name]} both define {name}"
            taken[name] = module_name
            if module.definitions[name] not in nodes:
                nodes.append(module.definitions[name])
    return nodes


def _in_order(modules: dict[str, Module]) -> list[str]:
    ordered: list[str] = []

    def visit(module_name: str) -> None:
        for other, _ in modules[module_name].ours.values():
            if other in modules and other not in ordered:
                visit(other)
        if module_name not in ordered:
            ordered.append(module_name)

    for module_name in modules:
        visit(module_name)
    return ordered


class _Bare(ast.NodeTransformer):
    """Drops annotations, and docstrings but those of the entries."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        if node.name not in [name for _, name in ENTRIES.values()]:
            _drop_docstring(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        # A dataclass has its fields from the annotations of its body.
        fields = [child for child in node.body if isinstance(child, ast.AnnAssign)]
        node.body = [c if c in fields else self.visit(c) for c in node.body]
        _drop_docstring(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)


def _drop_docstring(node: ast.FunctionDef | ast.ClassDef) -> None:
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
