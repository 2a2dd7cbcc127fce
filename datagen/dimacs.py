"""Reads DIMACS CNF: a file, or all those in a folder or archive, compressed or not.

SATLIB's files end in a line `%` and a line `0`: what follows a `%` is not read. Everything else
that departs from the format is refused with file and line.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from datagen.dimacs_files import FormulaFiles

MAX_VARIABLES = 10_000
NO_PROBLEM = "it poses no problem, leave the file out"

_HEADER = re.compile(r"p\s+cnf\s+([0-9]{1,9})\s+([0-9]{1,9})\s*")
_LITERAL = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Instance:
    """One formula: `name` is the file's, within its folder or archive."""

    name: str
    num_vars: int
    clauses: list[list[int]]


def read_dimacs(path: Path, ignored: list[str] | None = None) -> list[Instance]:
    """Return the formulas at `path`, sorted by name; names of other files are added to `ignored`.

    Raises ValueError naming file and line for what is not DIMACS, naming the path if there is no
    formula at all.
    """
    files = FormulaFiles(path)
    instances = [parse_dimacs(text, name) for name, text in files]
    if not instances:
        raise ValueError(f"no DIMACS file at {path}: their names end in .cnf or .dimacs")
    if ignored is not None:
        ignored += files.ignored
    return sorted(instances, key=lambda instance: instance.name)


def parse_dimacs(text: str, name: str) -> Instance:
    """Parse one DIMACS file; `name` stands in the errors, as `name:line`."""
    num_vars = num_clauses = None
    clauses: list[list[int]] = []
    clause: list[int] = []
    number = 0
    for number, ending in enumerate(io.StringIO(text, newline=None), 1):
        line = ending.strip()
        if line.startswith("%"):
            break
        if not line or line.startswith("c"):
            continue
        where = f"{name}:{number}"
        if line.startswith("p"):
            if num_vars is not None:
                raise ValueError(f"{where}: a second header {_shown(line)}: one formula a file")
            num_vars, num_clauses = _header(line, where)
        elif num_vars is None:
            raise ValueError(f"{where}: {_shown(line)} before the header `p cnf VARIABLES CLAUSES`")
        else:
            clause = _read_clauses(line, where, num_vars, clause, clauses)
    if num_vars is None:
        raise ValueError(f"{name}:{number}: no header `p cnf VARIABLES CLAUSES`")
    if clause:
        raise ValueError(f"{name}:{number}: the last clause is not closed by 0")
    if len(clauses) != num_clauses:
        raise ValueError(f"{name}:{number}: {len(clauses)} clauses, the header says {num_clauses}")
    return Instance(name, num_vars, clauses)


def _header(line: str, where: str) -> tuple[int, int]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise ValueError(f"{where}: header {_shown(line)} is not `p cnf VARIABLES CLAUSES`")
    num_vars, num_clauses = int(found[1]), int(found[2])
    size = f"{where}: {num_vars} variables and {num_clauses} clauses"
    if num_clauses < 1:
        raise ValueError(f"{size}: an empty formula is true of every assignment: {NO_PROBLEM}")
    if num_vars < 1:
        raise ValueError(f"{size}: an empty clause makes a formula unsatisfiable: {NO_PROBLEM}")
    if num_vars > MAX_VARIABLES:
        raise ValueError(f"{size}: at most {MAX_VARIABLES} variables are supported")
    return num_vars, num_clauses


def _read_clauses(
    line: str, where: str, num_vars: int, clause: list[int], clauses: list[list[int]]
) -> list[int]:
    """Add the clauses that a line closes; return the literals of the one left open."""
    for word in line.split():
        if not _LITERAL.fullmatch(word):
            raise ValueError(f"{where}: {_shown(word)} is not an integer")
        literal = int(word)
        if abs(literal) > num_vars:
            raise ValueError(f"{where}: literal {literal} is beyond the header's {num_vars}")
        if literal:
            clause.append(literal)
        elif clause:
            clauses.append(clause)
            clause = []
        else:
            raise ValueError(
                f"{where}: an empty clause makes the formula unsatisfiable: {NO_PROBLEM}"
            )
    return clause


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
