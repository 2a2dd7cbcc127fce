"""Filters on rows: `key=value`, for columns and for keys inside of difficulty or meta.

A text must be equal to the value as it is written; a number, boolean or null to what the value
says as JSON, so that `difficulty.n=7` takes the number 7. All filters must hold.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from datagen.formats.rows import Row
from datagen.manifest import SCHEMA
from datagen.registry.manifest import Kind
from datagen.traces import Trace

COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "problems": tuple(SCHEMA.names),
    "traces": ("id", "trace_version", "prompt", "final_answer"),
}
NESTED: Mapping[Kind, str] = {"problems": "difficulty", "traces": "meta"}
MAX_NAMED = 12
"""Keys that a message names at most."""


def parse_filters(texts: Sequence[str]) -> dict[str, str]:
    """Return `key=value` texts by key; ValueError for one without `=`, or a key twice."""
    filters: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError(f"filter {text!r} is no KEY=VALUE: write, for example, split=train")
        if key in filters:
            raise ValueError(f"filter {key!r} is given twice: a row has one value")
        filters[key] = value
    return filters


@dataclass
class Filters:
    """Filters for rows of a kind; notes which keys the rows had."""

    kind: Kind
    wanted: dict[str, str]
    _unseen: set[str] = field(init=False)
    _known: set[str] = field(default_factory=set)
    """Keys inside of difficulty or meta, kept only to name them in a message."""

    def __post_init__(self) -> None:
        """Refuse keys that no row of the kind can have."""
        nested = f"{NESTED[self.kind]}."
        for key in self.wanted:
            if key not in COLUMNS[self.kind] and not (key.startswith(nested) and key != nested):
                known = ", ".join((*COLUMNS[self.kind], f"{nested}KEY"))
                raise ValueError(f"filter key {key!r} is unknown: {self.kind} have {known}")
        self._unseen = set(self.wanted)

    def take(self, row: Row) -> bool:
        """Whether all filters hold for a row."""
        if not self.wanted:
            return True
        if self._unseen:
            self._note(row)
        return all(_equals(_value(row, key), text) for key, text in self.wanted.items())

    def why_nothing(self) -> str:
        """Say why no row was taken: a key that none has, or no row with all the values."""
        if not self._unseen:
            shown = " ".join(f"{key}={value}" for key, value in self.wanted.items())
            return f"no row has {shown}" if shown else "the sources have no rows"
        key = min(self._unseen)
        known = ", ".join(sorted(self._known)[:MAX_NAMED]) or "nothing"
        return f"filter key {key!r} is unknown: no row has it; rows have {known}"

    def _note(self, row: Row) -> None:
        self._unseen -= {key for key in self._unseen if _value(row, key) is not _ABSENT}
        if len(self._known) < MAX_NAMED:
            self._known |= {f"{NESTED[self.kind]}.{key}" for key in _nested(row)}


_ABSENT = object()


def _value(row: Row, key: str) -> Any:
    """The value of a column, or of a path below difficulty or meta."""
    _, *steps = key.split(".")
    if not steps:
        return getattr(row, key)
    value: Any = _nested(row)
    for step in steps:
        if not isinstance(value, dict) or step not in value:
            return _ABSENT
        value = value[step]
    return value


def _nested(row: Row) -> dict[str, Any]:
    if isinstance(row, Trace):
        return row.meta or {}
    return _difficulty(row.difficulty)


@lru_cache(maxsize=4096)
def _difficulty(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _equals(value: Any, text: str) -> bool:
    if value is _ABSENT:
        return False
    if isinstance(value, str):
        return value == text
    wanted = _as_json(text)
    if _is_number(value) and _is_number(wanted):
        return bool(value == wanted)
    return json.dumps(value, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=256)
def _as_json(text: str) -> Any:
    """What a filter's value says; a text where it is no JSON, which no such value is equal to."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
