"""How records lie in a file: a JSON array, one JSON object a line, or Parquet.

All write as they go, in pieces whose size does not depend on the number of records, and give the
same bytes for the same records.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 4096
"""Rows of one row group of a Parquet file."""

Records = Iterator[dict[str, Any]]


def json_text(value: Any) -> str:
    """Write a JSON value compactly, in the order of its keys, with letters as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_json_array(records: Records, file: BinaryIO) -> None:
    """Write one JSON array, a record a line."""
    before = "[\n"
    for record in records:
        file.write(f"{before}{json_text(record)}".encode())
        before = ",\n"
    file.write(b"[]\n" if before == "[\n" else b"\n]\n")


def write_jsonl(records: Records, file: BinaryIO) -> None:
    """Write one JSON object a line."""
    for record in records:
        file.write(f"{json_text(record)}\n".encode())


def parquet_writer(schema: pa.Schema) -> Callable[[Records, BinaryIO], None]:
    """Return what writes records of a schema as Parquet."""

    def write(records: Records, file: BinaryIO) -> None:
        with pq.ParquetWriter(file, schema, compression="snappy", write_statistics=False) as writer:
            while group := list(islice(records, GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))

    return write
