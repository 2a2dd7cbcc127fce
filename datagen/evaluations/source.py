"""Where result objects lie: anything that can open a stream by key; here, a local folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Stream(Protocol):
    """Bytes that are read once, from the start."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""

    def close(self) -> None:
        """Let go of the connection or file."""


class ResultSource(Protocol):
    """A bucket or a folder; `open` may be called from several threads."""

    @property
    def name(self) -> str:
        """What messages call it, without any secret."""

    def open(self, key: str) -> Stream:
        """Open an object; FileNotFoundError if there is none, OSError if it cannot be read."""


@dataclass(frozen=True)
class FolderSource:
    """A folder that is laid out as the bucket is: it holds `affine/index.json`."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def open(self, key: str) -> Stream:
        """Open a file below the folder."""
        return (self.folder / key).open("rb")
