"""Opens the place where recorded results lie: a folder, or a bucket."""

from dataclasses import dataclass
from pathlib import Path

from datagen.evaluations.source import FolderSource, ResultSource, Stream
from orchestrator.storage.folder import Folder
from orchestrator.storage.local import LocalFolder
from orchestrator.storage.opening import open_folder


@dataclass(frozen=True)
class StoredResults:
    """The results in a bucket."""

    folder: Folder

    @property
    def name(self) -> str:
        """The bucket's URI."""
        return self.folder.uri

    def open(self, key: str) -> Stream:
        """Open an object; a connection that is cut goes on where it was."""
        return self.folder.open_read(key)


def result_source(uri: str) -> ResultSource:
    """Return the source at `s3://BUCKET[/KEY]` or in a folder; ValueError for any other."""
    folder = open_folder(uri)
    if not isinstance(folder, LocalFolder):
        return StoredResults(folder)
    path = Path(uri)
    if not path.is_dir():
        raise ValueError(f"--source {uri}: there is no such folder")
    return FolderSource(path)
