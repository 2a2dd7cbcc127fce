"""Append-only JSONL that can be cut back exactly, and in which no changed byte goes unnoticed.

A stage syncs its journals, saves their offsets in its state, and cuts them back to these offsets
when it resumes. A line that a kill tore is cut when the file is opened again. Lines are UTF-8
without a newline inside, so that only a newline ends one.

Each line ends with the key `chain`: the first 32 hexadecimal digits of the sha256 of the previous
line's `chain` and of all bytes of this line before the key. One pass over a file checks every line,
and a line that was changed, lost, added or moved is named.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from datagen.whole_file import DamageError
from trainers.folders import save_error

BUFFER_BYTES = 1 << 20
CHAIN = "chain"
DIGITS = 32
CHAIN_BYTES = len(f',"{CHAIN}":""}}\n') + DIGITS
"""Bytes at the end of each line, from the comma before the key on."""


class ChainedLine(NamedTuple):
    """A line whose bytes are right."""

    body: bytes
    """JSON text without the chain and the closing brace."""
    chain: bytes
    end: int
    """Offset of the byte after its newline."""

    @property
    def row(self) -> dict[str, Any]:
        """The line's content."""
        return dict(json.loads(self.body + b"}"))


def chain_line(previous: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return a line and its chain; `body` is a JSON object without its closing brace."""
    chain = _chain(previous, body)
    return b'%b,"%b":"%b"}\n' % (body, CHAIN.encode(), chain), chain


def chain_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the lines of a new file."""
    chain = b""
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        line, chain = chain_line(chain, text.encode()[:-1])
        yield line


def read_chained(
    path: Path, begin: int = 0, end: int | None = None, first: int = 1
) -> Iterator[ChainedLine]:
    """Yield the lines of a file, each checked; a torn last line is left out.

    With `begin`, the end of a line, start there, with line number `first`; with `end`, stop there.
    Raises DamageError naming the first line whose bytes were changed, and where it begins;
    FileNotFoundError where there is no file.
    """
    chain = chain_before(path, begin)
    with path.open("rb") as file:
        file.seek(begin)
        for number, content in enumerate(file, start=first):
            if begin == end or not content.endswith(b"\n"):
                return
            body = content[:-CHAIN_BYTES]
            line, chain = chain_line(chain, body)
            if line != content:
                raise DamageError(
                    f"{path}: line {number} (from byte {begin}) does not match its hash: its "
                    "bytes were changed"
                )
            begin += len(line)
            yield ChainedLine(body, chain, begin)


def read_whole(path: Path) -> list[ChainedLine]:
    """Return the lines of a file that was written at once; DamageError also if its end is gone."""
    lines = list(read_chained(path))
    if path.stat().st_size != (lines[-1].end if lines else 0):
        raise DamageError(f"{path}: line {len(lines) + 1} has no end: its bytes were changed")
    return lines


def _chain(previous: bytes, body: bytes) -> bytes:
    return hashlib.sha256(previous + body).hexdigest()[:DIGITS].encode()


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
    """A JSONL file of a run: metrics, timings, rollouts."""

    def __init__(self, path: Path) -> None:
        """Open for appending, after a torn last line, if there is one, has been cut.

        A file with a changed line opens too: what stands before that line is `intact`, and the
        journal must be cut back to it before anything is appended.
        """
        self.path = path
        self.intact = 0
        """Offset up to which every line was right when the journal was opened or cut back."""
        self._lines = AppendFile(path)
        self._chain = b""
        self._damage: DamageError | None = None
        try:
            for line in read_chained(path):
                self._opened_with(line)
        except DamageError as error:
            self._damage = error
        if self._damage is None and self._lines.offset != self.intact:
            self._lines.cut(self.intact)

    def _opened_with(self, line: ChainedLine) -> None:
        self._chain, self.intact = line.chain, line.end

    @property
    def offset(self) -> int:
        """Bytes of all rows so far: what a state saves and `truncate` takes."""
        return self._lines.offset

    @property
    def why_no_further(self) -> str:
        """What is wrong after `intact`, in one line that names the file."""
        return str(self._damage or f"{self.path} has no whole line from byte {self.intact} on")

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append one line for each row; readers see them after `flush`.

        Raises ValueError for NaN and infinity, which JSON does not have, and DamageError where a
        changed line would stay before the new ones.
        """
        self._append(_to_json(self.path, row) for row in rows)

    def _append(self, bodies: Iterable[bytes]) -> None:
        if self._damage is not None:
            raise self._damage
        for body in bodies:
            line, self._chain = chain_line(self._chain, body)
            self._lines.write(line)

    def flush(self) -> None:
        """Make all rows visible to readers. Raises SaveError."""
        self._lines.flush()

    def sync(self) -> None:
        """Make all rows survive a power loss: before each state that saves `offset`."""
        self._lines.sync()

    def truncate(self, offset: int) -> None:
        """Cut back to an offset saved earlier.

        Raises ValueError where the file is shorter than that or the offset is within a line, and
        DamageError where a line before the offset was changed.
        """
        self._lines.flush()
        if self._damage is not None and offset > self.intact:
            raise DamageError(f"{self._damage}; restore the file, or start over with --fresh")
        _check_boundary(self.path, offset, self.offset)
        self._lines.cut(offset)
        self._chain, self._damage, self.intact = chain_before(self.path, offset), None, offset

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
    return text.encode("ascii")[:-1]


def chain_before(path: Path, offset: int) -> bytes:
    """Return the chain of the line that ends at `offset`, where every line before is right."""
    if offset < CHAIN_BYTES:
        return b""
    with path.open("rb") as file:
        file.seek(offset - CHAIN_BYTES)
        return file.read(CHAIN_BYTES)[-len('"}\n') - DIGITS :][:DIGITS]


def is_line_end(path: Path, offset: int) -> bool:
    """Whether a line, or nothing, ends at `offset`."""
    if offset == 0:
        return True
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


def _check_boundary(path: Path, offset: int, size: int) -> None:
    if not 0 <= offset <= size:
        raise ValueError(
            f"{path} has {size} bytes, the saved state knows {offset}: it was changed; restore it "
            "or start over"
        )
    if not is_line_end(path, offset):
        raise ValueError(f"{path} has no line that ends at byte {offset}: it was changed")
