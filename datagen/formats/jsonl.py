"""`jsonl`: every row as it is, one JSON object a line."""

from dataclasses import asdict
from typing import Any

from datagen.formats.containers import write_jsonl
from datagen.formats.format import JSONL_TYPE, Format
from datagen.formats.rows import Row
from datagen.traces import Trace


def record(row: Row) -> dict[str, Any]:
    """Return all fields of a row."""
    return row.model_dump(mode="json") if isinstance(row, Trace) else asdict(row)


FORMAT = Format("jsonl", "rows as they are", ".jsonl", JSONL_TYPE, record, write_jsonl)
