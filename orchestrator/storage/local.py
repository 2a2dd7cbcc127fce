"""A folder of this machine, with the promises of a bucket: a file is whole or not there."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from datagen.manifest import file_sha256
from datagen.shards import sync
from datagen.whole_file import whole_file
from orchestrator.storage.digests import Digest
from orchestrator.storage.errors import StorageChanged
from orchestrator.storage.folder import Count, Entry, no_count
from orchestrator.storage.location import check_name
from orchestrator.storage.reading import buffered

COPY_BYTES = 2**22


class LocalFolder:
    """A `Folder` on a file system."""

    def __init__(self, path: Path) -> None:
        """Name the folder; it is made when something is written."""
        self.path = path

    @property
    def uri(self) -> str:
        """Where the folder is."""
        return str(self.path)

    def uri_of(self, name: str) -> str:
        """Where a file of it is."""
        return str(self.path / check_name(name))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the files whose names begin with `prefix`, in order."""
        paths = (path for path in self.path.rglob("*") if path.is_file())
        for name in sorted(path.relative_to(self.path).as_posix() for path in paths):
            if name.startswith(prefix) and not _is_partial(name):
                yield Entry(name, (self.path / name).stat().st_size)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.path / check_name(name)).is_file()

    def open_read(self, name: str, *, sha256: str | None = None) -> BinaryIO:
        """Open a file; with `sha256` its last read checks the bytes."""
        path = self.path / check_name(name)
        return buffered(io.FileIO(path), str(path), sha256)

    def write_whole(self, name: str, data: bytes) -> None:
        """Write a small file, in place of any other."""
        with whole_file(self.path / check_name(name)) as file:
            file.write(data)

    def upload_file(self, name: str, path: Path, digest: Digest, count: Count = no_count) -> None:
        """Copy a file here, in place of any other, if its bytes are those of `digest`."""
        whole, done = hashlib.sha256(), 0
        with whole_file(self.path / check_name(name)) as target, path.open("rb") as source:
            while data := source.read(COPY_BYTES):
                whole.update(data)
                target.write(data)
                done += len(data)
                count(name, done, digest.num_bytes)
            if whole.hexdigest() != digest.sha256:
                raise StorageChanged(f"{path} changed while it was copied: start again")
        if not self.holds(name, digest):
            raise StorageChanged(f"{self.uri_of(name)} is not what was copied there: start again")

    def holds(self, name: str, digest: Digest) -> bool:
        """Whether there is such a file with these very bytes."""
        path = self.path / check_name(name)
        if not path.is_file() or path.stat().st_size != digest.num_bytes:
            return False
        return file_sha256(path) == digest.sha256

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = self.path / check_name(name)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync(path.parent)


def _is_partial(name: str) -> bool:
    """Whether a name is of what is being written, or was when its writer died."""
    return any(step.startswith(".") and ".partial-" in step for step in name.split("/"))
