"""What can be done with a folder of files, wherever it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from orchestrator.storage.digests import Digest

Count = Callable[[str, int, int], None]
"""Called with a file's name, its bytes that are done, and its bytes in all."""


def no_count(name: str, done: int, total: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a folder."""

    name: str
    num_bytes: int


class Folder(Protocol):
    """Files by name (`a/b.json`), local or in a bucket.

    A file is whole or not there: what is being written is seen by nobody. May be used from many
    threads, each writing other files. Failures are OSErrors, as errors.py lists them for S3.
    """

    @property
    def uri(self) -> str:
        """Where the folder is."""
        ...

    def uri_of(self, name: str) -> str:
        """Where a file of it is."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the files whose names begin with `prefix`, also those in folders below."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        ...

    def open_read(self, name: str, *, sha256: str | None = None) -> BinaryIO:
        """Open a file to read it from front to back, in bounded memory.

        The last read raises StorageChanged if the bytes are not those of `sha256`.
        """
        ...

    def write_whole(self, name: str, data: bytes) -> None:
        """Write a small file, in place of any other."""
        ...

    def upload_file(self, name: str, path: Path, digest: Digest, count: Count = no_count) -> None:
        """Copy a local file here, in place of any other, and confirm what arrived.

        Raises StorageChanged if the local file is not `digest` any more, or what arrived is not.
        """
        ...

    def holds(self, name: str, digest: Digest) -> bool:
        """Whether there is such a file with these very bytes."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...
