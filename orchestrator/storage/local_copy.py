"""The local files of something that is published, and their removal once that is safe."""

import os
import shutil
from pathlib import Path

from datagen.shards import sync
from orchestrator.storage.digests import Digest
from orchestrator.storage.errors import StorageChanged


class LocalCopy:
    """Files that were read for an upload; only as they were then may they be removed."""

    def __init__(self, folder: Path) -> None:
        """Name the folder that the files lie in."""
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] = {}

    def path(self, name: str) -> Path:
        """Return where a file is."""
        return self._folder / name

    def remember(self, name: str, digest: Digest) -> None:
        """Note how a file looked when it was read."""
        self._seen[name] = (digest.num_bytes, self.path(name).stat().st_mtime_ns)

    def delete_folder(self) -> None:
        """Remove the folder: it goes at once by a rename, and is emptied after."""
        check_only_these(self._folder, set(self._seen))
        for name in self._seen:
            self._check(name)
        folder = self._folder.resolve()
        gone = folder.with_name(f".{folder.name}.published-{os.getpid()}")
        folder.rename(gone)
        sync(folder.parent)
        shutil.rmtree(gone)

    def delete_file(self, name: str) -> None:
        """Remove one file."""
        self._check(name)
        self.path(name).unlink()
        sync(self._folder)

    def _check(self, name: str) -> None:
        stat = self.path(name).stat()
        if (stat.st_size, stat.st_mtime_ns) != self._seen[name]:
            raise StorageChanged(f"{self.path(name)} changed after it was uploaded: it is kept")


def check_only_these(folder: Path, names: set[str]) -> None:
    """Refuse to delete a folder that holds other files than these."""
    others = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() and path.relative_to(folder).as_posix() not in names
    )
    if others:
        raise ValueError(
            f"{folder} holds {others[0]}, which is no part of the dataset and would be lost: "
            "move it, or do not delete the local copy"
        )
