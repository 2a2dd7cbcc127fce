"""`jsonl`: every row as it is, one JSON object a line."""

from dataclasses import fields
from typing import Any

from datagen.formats.containers import write_jsonl
from datagen.formats.format import JSONL_TYPE, Format
from datagen.formats.rows import Row
from datagen.traces import Trace
from reward_fns.records import Problem

_FIELDS = tuple(field.name for field in fields(Problem))


def record(row: Row) -> dict[str, Any]:
    """Return all fields of a row."""
    if isinstance(row, Trace):
        return row.model_dump(mode="json")
    return {name: getattr(row, name) for name in _FIELDS}


FORMAT = Format("jsonl", "rows as they are", ".jsonl", JSONL_TYPE, record, write_jsonl)
