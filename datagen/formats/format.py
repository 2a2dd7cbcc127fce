"""What a format is: how a row becomes a record, and how records lie in a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from datagen.formats.rows import Row

JSON_TYPE, JSONL_TYPE = "application/json", "application/x-ndjson"
PARQUET_TYPE = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Format:
    """One export format. `record` raises ValueError for a row that the format cannot carry."""

    name: str
    about: str
    suffix: str
    content_type: str
    record: Callable[[Row], dict[str, Any]]
    write: Callable[[Iterator[dict[str, Any]], BinaryIO], None]
    file_stem: str | None = None
    """Name that the readers expect, with strftime fields for the time of writing."""
    min_rows: int = 1
    max_bytes: int | None = None
