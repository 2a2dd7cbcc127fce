"""Writes rows in a format, in bounded memory, to a file that is whole or absent.

export_rows("trl", read_split(folder, "train"), Path("train.parquet"))
"""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from datagen.formats.format import Format
from datagen.formats.registry import get_format
from datagen.formats.rows import Row
from datagen.manifest import file_sha256
from datagen.whole_file import whole_file


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written; `sha256` is the same for the same rows."""

    path: Path
    num_rows: int
    num_bytes: int
    sha256: str
    content_type: str


def export_rows(format_name: str, rows: Iterable[Row], path: Path) -> Exported:
    """Write rows to `path` in a format, and return what was written.

    Raises ValueError, and leaves `path` as it was, for an unknown format (listing those there are),
    a row that the format cannot carry, fewer rows than its readers accept, or a larger file.
    """
    chosen = get_format(format_name)
    with whole_file(path) as file:
        counted = _Counted(chosen, rows, file)
        chosen.write(iter(counted), file)
        file.flush()
        counted.check(file)
    return Exported(
        path, counted.num_rows, path.stat().st_size, file_sha256(path), chosen.content_type
    )


def file_name(format_name: str, name: str, now: datetime.datetime) -> str:
    """Return what to call a dataset's file: as the format's readers expect, or `name`."""
    chosen = get_format(format_name)
    stem = now.strftime(chosen.file_stem) if chosen.file_stem else name
    return f"{stem}{chosen.suffix}"


class _Counted:
    """The records of rows, counted, with the file's size looked at as it grows."""

    def __init__(self, chosen: Format, rows: Iterable[Row], file: BinaryIO) -> None:
        self.num_rows = 0
        self._format, self._rows, self._file = chosen, rows, file

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            yield self._format.record(row)
            self.num_rows += 1
            self._check_size(self._file)

    def check(self, file: BinaryIO) -> None:
        """Check the finished file against the format's limits."""
        name, floor = self._format.name, self._format.min_rows
        if self.num_rows == 0:
            raise ValueError(f"there are no rows to export as {name!r}: choose another split")
        if self.num_rows < floor:
            raise ValueError(
                f"format {name!r} needs at least {floor:,} rows, and there are "
                f"{self.num_rows:,}: make more, or choose another format"
            )
        self._check_size(file)

    def _check_size(self, file: BinaryIO) -> None:
        limit = self._format.max_bytes
        if limit is not None and file.tell() > limit:
            raise ValueError(
                f"format {self._format.name!r} takes at most {limit:,} bytes, reached after "
                f"{self.num_rows:,} rows: export fewer rows"
            )
