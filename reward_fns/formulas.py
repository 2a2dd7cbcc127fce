"""A SAT problem's env, parsed once into a form in which an answer is checked in microseconds.

Up to 126 variables a formula is a byte string, one byte a literal and a zero byte around each
clause. Deleting the bytes of the false literals leaves two zeros side by side exactly where a
clause has no true one, and both steps are single calls. Larger formulas are lists and sets.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Any

MAX_BYTE_VARIABLES = 126
SMALL_ENV_CHARS = 20_000
"""1,024 envs up to this size are kept parsed, and 16 larger ones."""

_NEGATED = 128
_END, _FAILED = b"\0", b"\0\0"
_VARIABLE_OF_CODE = bytes(code & 127 for code in range(256))
_HEAD = re.compile(r'\{"num_vars":([1-9][0-9]{0,8}),"k":[0-9]{1,9}')
_TAILS = {"true}": True, "false}": False}


class ByteFormula:
    """A formula of at most 126 variables; an assignment is the bytes of its false literals."""

    __slots__ = ("_false_codes", "_order", "_text", "num_vars", "satisfiable")

    def __init__(self, num_vars: int, text: bytes, satisfiable: bool) -> None:
        self.num_vars = num_vars
        self.satisfiable = satisfiable
        self._text = text
        self._false_codes, self._order = _answer_tables(num_vars)

    @property
    def num_clauses(self) -> int:
        """Number of clauses."""
        return self._text.count(_END) - 1

    def read(self, answer: str) -> bytes | None:
        """The assignment of an answer spelled as in the two prompt styles, variables in order."""
        named = "=" in answer
        words = answer.split(", " if named else None, self.num_vars)
        try:
            codes = b"".join(map(self._false_codes[named].__getitem__, words))
        except KeyError:
            return None
        return codes if codes.translate(_VARIABLE_OF_CODE) == self._order else None

    def assign(self, literals: Iterable[int]) -> bytes:
        """The assignment that makes these literals true, and no others."""
        literals_true = bytes(_code(literal) for literal in literals)
        every = self._order + bytes(code + _NEGATED for code in self._order)
        return every.translate(None, literals_true)

    def holds(self, assignment: bytes) -> bool:
        """Whether every clause has a true literal."""
        return _FAILED not in self._text.translate(None, assignment)

    def num_satisfied(self, assignment: bytes) -> int:
        """How many clauses have a true literal."""
        clauses = self._text.translate(None, assignment).split(_END)
        return self.num_clauses + 2 - clauses.count(b"")


class SetFormula:
    """A formula of any size; an assignment is the set of its true literals."""

    __slots__ = ("_clauses", "_literals", "num_clauses", "num_vars", "satisfiable")

    def __init__(self, num_vars: int, clauses: list[list[int]], satisfiable: bool) -> None:
        self.num_vars = num_vars
        self.num_clauses = len(clauses)
        self.satisfiable = satisfiable
        self._clauses = clauses
        self._literals = _true_literals(num_vars)

    def read(self, answer: str) -> set[int] | None:
        """The assignment of an answer spelled as in the two prompt styles, each variable once."""
        named = "=" in answer
        words = answer.split(", " if named else None, self.num_vars)
        try:
            literals = set(map(self._literals[named].__getitem__, words))
        except KeyError:
            return None
        complete = len(words) == len(set(map(abs, literals))) == self.num_vars
        return literals if complete else None

    def assign(self, literals: Iterable[int]) -> set[int]:
        """The assignment that makes these literals true, and no others."""
        return set(literals)

    def holds(self, assignment: set[int]) -> bool:
        """Whether every clause has a true literal."""
        return not any(map(assignment.isdisjoint, self._clauses))

    def num_satisfied(self, assignment: set[int]) -> int:
        """How many clauses have a true literal."""
        return self.num_clauses - sum(map(assignment.isdisjoint, self._clauses))


def parse_env(env: str) -> Any:
    """Parse the env of a SAT problem to a ByteFormula or a SetFormula, kept for the next answers.

    Raises ValueError for an env that is not `{"num_vars", "clauses", "satisfiable"}` with at least
    one clause, each of non-zero integers within ±num_vars: such data is ours, and broken.
    """
    try:
        return _parse_small(env) if len(env) <= SMALL_ENV_CHARS else _parse_large(env)
    except (TypeError, AttributeError):
        raise ValueError(f"env is a {type(env).__name__}: it must be a JSON string") from None


def forget_parsed() -> None:
    """Drop all kept envs, so that the next answers pay for parsing."""
    _parse_small.cache_clear()
    _parse_large.cache_clear()


@lru_cache(maxsize=1024)
def _parse_small(env: str) -> Any:
    return _parse(env)


@lru_cache(maxsize=16)
def _parse_large(env: str) -> Any:
    return _parse(env)


def _parse(env: str) -> Any:
    formula = _parse_plain(env)
    if formula is not None:
        return formula
    try:
        payload = json.loads(env)
    except (ValueError, RecursionError):
        raise ValueError(f"env is not JSON: {env[:80]!r}") from None
    num_vars, clauses, satisfiable = _checked(payload, env)
    if num_vars > MAX_BYTE_VARIABLES:
        return SetFormula(num_vars, clauses, satisfiable)
    text = _END.join(bytes(_code(literal) for literal in clause) for clause in clauses)
    return ByteFormula(num_vars, _END + text + _END, satisfiable)


def _parse_plain(env: str) -> ByteFormula | None:
    """Parse an env that is spelled as datasets spell it; None for any other, and for large ones.

    The clauses are never made: their text is split into words, and each must be a known literal.
    """
    head, _, rest = env.partition(',"clauses":[[')
    body, _, tail = rest.partition(']],"satisfiable":')
    satisfiable, (num_vars, codes) = _TAILS.get(tail), _head_tables(head)
    if codes is None or satisfiable is None or ";" in body:
        return None
    try:
        text = bytes(map(codes.__getitem__, body.replace("],[", ",;,").split(",")))
    except KeyError:
        return None
    return ByteFormula(num_vars, b"\0%b\0" % text, satisfiable)


def _checked(payload: Any, env: str) -> tuple[int, list[list[int]], bool]:
    """Return (num_vars, clauses, satisfiable) of a payload; ValueError names the fault."""
    if not isinstance(payload, dict):
        raise ValueError(f"env is not a JSON object: {env[:80]!r}")
    num_vars, clauses = payload.get("num_vars"), payload.get("clauses")
    if type(num_vars) is not int or num_vars < 1:
        raise ValueError(f"env num_vars is {str(num_vars)[:80]}: it must be a positive integer")
    if type(payload.get("satisfiable")) is not bool:
        raise ValueError(f"env satisfiable is {payload.get('satisfiable')!r}: it must be a boolean")
    if not isinstance(clauses, list) or not clauses:
        raise ValueError(f"env clauses is {str(clauses)[:80]}: it must be a non-empty list")
    if set(map(type, clauses)) != {list} or not all(clauses):
        raise ValueError("env clauses must be non-empty lists of literals")
    literals = list(chain.from_iterable(clauses))
    if set(map(type, literals)) != {int} or 0 in literals:
        raise ValueError("env clauses must hold non-zero integers only")
    if max(literals) > num_vars or min(literals) < -num_vars:
        raise ValueError(f"env clauses name a variable beyond num_vars {num_vars}")
    return num_vars, clauses, payload["satisfiable"]


def _code(literal: int) -> int:
    """The byte of a literal: 1..126, and 128 more for negations."""
    return literal if literal > 0 else _NEGATED - literal


@lru_cache(maxsize=1024)
def _head_tables(head: str) -> tuple[int, dict[str, int] | None]:
    """Of an env's text before its clauses: num_vars, and the byte of each literal's spelling.

    `;` stands for the end of a clause. There are no bytes for a head of another shape, or of a
    formula that is too large.
    """
    found = _HEAD.fullmatch(head)
    num_vars = int(found[1]) if found else 0
    if not 1 <= num_vars <= MAX_BYTE_VARIABLES:
        return 0, None
    signed = [x for v in range(1, num_vars + 1) for x in (v, -v)]
    return num_vars, {";": 0, **{str(x): _code(x) for x in signed}}


@lru_cache(maxsize=MAX_BYTE_VARIABLES)
def _answer_tables(num_vars: int) -> tuple[list[dict[str, bytes]], bytes]:
    """The byte of the literal that each word of an answer makes false; all variables in order."""
    words = [
        {word: bytes([_code(-literal)]) for word, literal in style.items()}
        for style in _true_literals(num_vars)
    ]
    return words, bytes(range(1, num_vars + 1))


@lru_cache(maxsize=16)
def _true_literals(num_vars: int) -> tuple[dict[str, int], dict[str, int]]:
    """The literal that each word of an answer makes true: `+1`, `-1`, `1`, and `x1=True` apart."""
    numbers: dict[str, int] = {}
    names: dict[str, int] = {}
    for v in range(1, num_vars + 1):
        numbers |= {f"+{v}": v, f"-{v}": -v, str(v): v}
        names |= {f"x{v}=True": v, f"x{v}=False": -v}
    return numbers, names
