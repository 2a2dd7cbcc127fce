"""Reads DIMACS CNF: a file, a folder of files, or a .tar.gz of them (never unpacked to disk).

SATLIB's files end in a line `%` and a line `0`: what follows a `%` is not read. Everything else
that departs from the format is refused with file and line.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_VARIABLES = 10_000
MAX_FILE_BYTES = 1 << 28
"""Largest file read, after decompression."""

_SUFFIXES = (".cnf", ".dimacs")
_HEADER = re.compile(r"p\s+cnf\s+([0-9]{1,9})\s+([0-9]{1,9})\s*")
_LITERAL = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Instance:
    """One formula: `name` is the file's, within its folder or archive."""

    name: str
    num_vars: int
    clauses: list[list[int]]


def read_dimacs(path: Path) -> list[Instance]:
    """Return the formulas at `path`, sorted by name.

    Raises ValueError naming file and line for what is not DIMACS, naming the path if there is no
    formula at all.
    """
    instances = [parse_dimacs(text, name) for name, text in _texts(path)]
    if not instances:
        raise ValueError(f"no DIMACS file at {path}: their names end in .cnf or .dimacs")
    return sorted(instances, key=lambda instance: instance.name)


def parse_dimacs(text: str, name: str) -> Instance:
    """Parse one DIMACS file; `name` stands in the errors, as `name:line`."""
    num_vars = num_clauses = None
    clauses: list[list[int]] = []
    clause: list[int] = []
    number = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("%"):
            break
        if not line.strip() or line.startswith("c"):
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
    if not 1 <= num_vars <= MAX_VARIABLES or num_clauses < 1:
        raise ValueError(
            f"{where}: {num_vars} variables and {num_clauses} clauses: "
            f"1 to {MAX_VARIABLES} variables and at least one clause are supported"
        )
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
            raise ValueError(f"{where}: an empty clause")
    return clause


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each formula at a path."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and _plain(file.name):
                yield file.relative_to(path).as_posix(), _file_text(file)
    elif not path.is_file():
        raise ValueError(f"no file or folder at {path}")
    elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
        yield from _archive_texts(path)
    else:
        yield path.name, _file_text(path)


def _plain(name: str) -> bool:
    return name.removesuffix(".gz").endswith(_SUFFIXES)


def _file_text(path: Path) -> str:
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            return _decoded(file.read(MAX_FILE_BYTES + 1), str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a readable gzip file: {error}") from None


def _archive_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Read the members that are plain formula files; links, devices and others are passed over.

    The archive is read to its end, so that a shortened one does not pass for a small one.
    """
    opener = open if path.name.endswith(".tar") else gzip.open
    try:
        with opener(path, "rb") as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if member.isreg() and member.name.endswith(_SUFFIXES):
                        yield member.name, _member_text(archive, member, f"{path}:{member.name}")
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is not a readable tar archive: {error}") from None


def _member_text(archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> str:
    file = archive.extractfile(member)
    assert file is not None  # a regular member has content
    return _decoded(file.read(MAX_FILE_BYTES + 1), where)


def _decoded(data: bytes, where: str) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{where} is larger than {MAX_FILE_BYTES} bytes")
    return data.decode("utf-8", errors="replace")
