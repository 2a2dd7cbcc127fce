"""What of a file the platform would refuse, found before anything is sent."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datagen.evaluations.json_stream import BrokenJson, array_items
from datagen.evaluations.source import Stream
from datagen.formats.gradients import MAX_BYTES, MIN_ROWS
from reward_fns.evaluator.run import why_not_evaluable


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that the platform takes; `not_evaluable` counts ABD programs by what is unknown."""

    num_rows: int
    num_bytes: int
    sha256: str
    num_abd: int
    not_evaluable: Counter[str]


class _Counted:
    """A stream that is hashed and measured as it is read."""

    def __init__(self, stream: Stream, name: str, max_bytes: int) -> None:
        self._stream, self._name, self._max_bytes = stream, name, max_bytes
        self.num_bytes, self.hash = 0, hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """Read on; ValueError where the file is too large."""
        data = self._stream.read(size)
        self.num_bytes += len(data)
        self.hash.update(data)
        if self.num_bytes > self._max_bytes:
            raise ValueError(
                f"{self._name} is over {self._max_bytes:,} bytes: the platform refuses it"
            )
        return data

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def check_file(
    stream: Stream,
    name: str,
    columns: Sequence[str],
    extra_column: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Checked:
    """Read a file to its end and check each row; ValueError names the row and what is wrong."""
    counted = _Counted(stream, name, max_bytes)
    num_rows, num_abd = 0, 0
    not_evaluable: Counter[str] = Counter()
    try:
        for row in array_items(counted):
            _check_row(row, f"{name} row {num_rows}", columns)
            num_rows += 1
            if extra_column is None:
                continue
            extra = _extra(row, extra_column, f"{name} row {num_rows - 1}")
            if extra.get("task_type") == "ABD":
                num_abd += 1
                if why := why_not_evaluable(str(extra.get("program"))):
                    not_evaluable[why] += 1
    except BrokenJson as error:
        raise ValueError(
            f"{name} cannot be read as a JSON array of rows: {error.reason} (after "
            f"{num_rows:,} rows): export it with --format gradients or affine_sft"
        ) from None
    if num_rows < MIN_ROWS:
        raise ValueError(
            f"{name} has {num_rows:,} rows: the platform refuses fewer than {MIN_ROWS:,}"
        )
    sha256 = counted.hash.hexdigest()
    return Checked(num_rows, counted.num_bytes, sha256, num_abd, not_evaluable)


def _check_row(row: Any, where: str, columns: Sequence[str]) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"{where} is no object with columns")
    missing = [column for column in columns if column not in row]
    if missing:
        there = ", ".join(map(str, row))[:200] or "none"
        raise ValueError(f"{where} has no column {', '.join(missing)}: there are {there}")
    for column in columns:
        if not isinstance(row[column], str) or not row[column].strip():
            raise ValueError(f"{where} has no text in {column}")


def _extra(row: dict[str, Any], column: str, where: str) -> dict[str, Any]:
    """The extra data of a row, which must be a JSON string: the platform calls str() on it."""
    if column not in row:
        raise ValueError(f"{where} has no column {column}: there are {', '.join(row)[:200]}")
    written = row[column]
    try:
        extra = json.loads(written) if isinstance(written, str) else None
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise ValueError(
            f"{where} has no JSON string of an object in {column}: the platform turns anything "
            "else into a text that no reward reads; export with --format gradients"
        )
    return extra
