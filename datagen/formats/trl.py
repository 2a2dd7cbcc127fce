"""`trl`: what GRPOTrainer and its reward functions read, the prompt and our columns, as Parquet."""

from dataclasses import asdict
from typing import Any

from datagen.formats.containers import parquet_writer
from datagen.formats.format import PARQUET_TYPE, Format
from datagen.formats.rows import Row, as_problem
from datagen.manifest import SCHEMA


def record(row: Row) -> dict[str, Any]:
    """Return all columns of a problem; every one but `prompt` reaches the reward functions."""
    return asdict(as_problem(row, "trl"))


FORMAT = Format(
    "trl", "prompt and columns for TRL", ".parquet", PARQUET_TYPE, record, parquet_writer(SCHEMA)
)
