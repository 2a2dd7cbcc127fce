"""Append-only JSONL that can be cut back exactly, so that a resumed run repeats no line.

A stage syncs its journals, saves their offsets in its state, and cuts them back to these offsets
when it resumes. A line that a kill tore is cut when the file is opened again. Lines are plain
ASCII, so that only a newline ends one.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from trainers.folders import save_error

BUFFER_BYTES = 1 << 20


class AppendFile:
    """A file of records that is appended to through a buffer and cut back to an offset."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size
        self._buffer = bytearray()

    @property
    def offset(self) -> int:
        """Bytes of all that was appended, also of what is still in the buffer."""
        return self._size + len(self._buffer)

    def write(self, content: bytes) -> None:
        """Append bytes; they reach the file in blocks, or at the next flush. Raises SaveError."""
        self._buffer += content
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand the buffer to the operating system, so that readers see it. Raises SaveError."""
        try:
            while self._buffer:
                written = self._file.write(self._buffer)
                self._size += written
                del self._buffer[:written]
        except OSError as error:
            self._buffer.clear()
            raise save_error(self.path, error) from error

    def sync(self) -> None:
        """Flush, and wait until the bytes are on the disk. Raises SaveError."""
        self.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise save_error(self.path, error) from error

    def cut(self, offset: int) -> None:
        """Drop everything after `offset`."""
        self.flush()
        self._file.truncate(offset)
        self._size = offset

    def close(self) -> None:
        """Flush and close; closing twice is harmless."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()


class Journal:
    """A JSONL file of a run: metrics, timings, events."""

    def __init__(self, path: Path) -> None:
        """Open for appending, after a torn last line, if there is one, has been cut."""
        self.path = path
        self._lines = AppendFile(path)
        if self._lines.offset:
            end = _end_of_lines(path)
            if end != self._lines.offset:
                self._lines.cut(end)

    @property
    def offset(self) -> int:
        """Bytes of all rows so far: what a state saves and `truncate` takes."""
        return self._lines.offset

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append one line for each row; readers see them after `flush`.

        Raises ValueError for NaN and infinity, which JSON does not have.
        """
        for row in rows:
            self._lines.write(_to_json(self.path, row))

    def flush(self) -> None:
        """Make all rows visible to readers. Raises SaveError."""
        self._lines.flush()

    def sync(self) -> None:
        """Make all rows survive a power loss: before each state that saves `offset`."""
        self._lines.sync()

    def truncate(self, offset: int) -> None:
        """Cut back to an offset saved earlier.

        Raises ValueError where the file is shorter than that or the offset is within a line.
        """
        self._lines.flush()
        _check_boundary(self.path, offset, self.offset)
        self._lines.cut(offset)

    def close(self) -> None:
        """Flush and close."""
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _to_json(path: Path, row: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(row, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise ValueError(f"a row for {path} is not JSON: {error}: {str(row)[:200]}") from None
    return text.encode("ascii") + b"\n"


def _end_of_lines(path: Path) -> int:
    """Return the offset after the last newline, 0 where there is none."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - BUFFER_BYTES)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def _check_boundary(path: Path, offset: int, size: int) -> None:
    if not 0 <= offset <= size:
        raise ValueError(
            f"{path} has {size} bytes, the saved state knows {offset}: it was changed; restore it "
            "or start over"
        )
    if offset:
        with path.open("rb") as file:
            file.seek(offset - 1)
            if file.read(1) != b"\n":
                raise ValueError(f"{path} has no line that ends at byte {offset}: it was changed")
