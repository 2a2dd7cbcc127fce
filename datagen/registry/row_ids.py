"""The ids of rows with their contents, in memory that does not grow: SQLite spills them to disk."""

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Self

CACHE_KIB = 32_768
DIGEST_BYTES = 16


def content_digest(line: bytes) -> bytes:
    """Return what tells contents apart."""
    return hashlib.sha256(line).digest()[:DIGEST_BYTES]


class RowIds:
    """Ids that were met so far, each with the digest and the source of its row."""

    def __init__(self) -> None:
        """Open a private database that goes away by itself."""
        self._base = sqlite3.connect("", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            f"PRAGMA cache_size = -{CACHE_KIB}",
            "CREATE TABLE row (id TEXT PRIMARY KEY, digest BLOB, source INT) WITHOUT ROWID",
            "BEGIN",
        ):
            self._base.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._base.close()

    def add(self, row_id: str, digest: bytes, source: int) -> tuple[bytes, int] | None:
        """Note a row; return the digest and source of the one with the same id, if there is one."""
        done = self._base.execute(
            "INSERT OR IGNORE INTO row VALUES (?, ?, ?)", (row_id, digest, source)
        )
        return None if done.rowcount else self.get(row_id)

    def get(self, row_id: str) -> tuple[bytes, int] | None:
        """Return the digest and source of an id's row."""
        query = "SELECT digest, source FROM row WHERE id = ?"
        found: tuple[bytes, int] | None = self._base.execute(query, (row_id,)).fetchone()
        return found

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield ids with their digests, by id."""
        yield from self._base.execute("SELECT id, digest FROM row ORDER BY id")
