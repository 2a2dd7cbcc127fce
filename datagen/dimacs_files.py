"""Finds DIMACS files: one, or those in a folder or archive, compressed or not.

A file's name tells whether it is a formula or an archive, its first bytes how it is packed. Nothing
is unpacked to disk, and what unpacking may produce is bounded. Files of other names are listed.
"""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from datagen.binary import HEAD_BYTES, binary_kind

MAX_FILE_BYTES = 1 << 28
"""Largest formula read, and largest file within an archive."""
MAX_ARCHIVE_BYTES = 1 << 32
"""Most bytes that one file may hold, with all that is packed in it."""
MAX_DEPTH = 3
"""An archive in an archive in an archive is still read."""

WANTED = "DIMACS text, also as .gz, .xz, .bz2, .lzma, .tar or .zip"

_PACKED = r"(?:\.(?:gz|xz|bz2|lzma|zst|lz4|z|br))?"
_FORMULA = re.compile(rf"(?!\._).*\.(?:cnf|dimacs)(?:\.(?:zip|7z|rar)|{_PACKED})", re.I | re.S)
_ARCHIVE = re.compile(rf"(?!\._).*\.(?:zip|7z|rar|tgz|txz|tbz2?|tar{_PACKED})", re.I | re.S)
_OPENERS: dict[str | None, Callable[[Any], Any]] = {
    "a gzip file": lambda stream: gzip.GzipFile(fileobj=stream),
    "an xz file": lzma.LZMAFile,
    "a bzip2 file": bz2.BZ2File,
}
_BOM = b"\xef\xbb\xbf"
_FAULTS = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError, MemoryError,
)  # fmt: skip
"""What files raise that are broken, cut off, encrypted, or packed in a way that is not known."""


class FormulaFiles:
    """The formulas at a path, as pairs of name and text; `ignored` grows while they are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ignored: list[str] = []
        """Files that are called neither formula nor archive, links, and what macOS adds."""
        self._left = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield each formula; ValueError names the file for what cannot be read, or is too large.

        So it does for two of the same name, because a problem has its formula's name as id.
        """
        names: set[str] = set()
        for name, text in self._all():
            if name in names:
                raise ValueError(f"{self.path}: two formulas are called {name!r}: rename one")
            names.add(name)
            yield name, text

    def _all(self) -> Iterator[tuple[str, str]]:
        if not self.path.is_dir():
            if not self.path.is_file():
                raise ValueError(f"no file or folder at {self.path}")
            packed = _ARCHIVE.fullmatch(self.path.name) and not _FORMULA.fullmatch(self.path.name)
            yield from self._file(self.path, "" if packed else self.path.name)
            return
        for file in sorted(self.path.rglob("*")):
            if file.is_dir():
                continue
            name = file.relative_to(self.path).as_posix()
            if file.is_file() and _is_wanted(file.name):
                yield from self._file(file, name)
            else:
                self.ignored.append(name)

    def _file(self, path: Path, name: str) -> Iterator[tuple[str, str]]:
        self._left = MAX_ARCHIVE_BYTES
        try:
            stream = path.open("rb")
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from None
        with stream:
            yield from self._stream(stream, name, str(path), 0)

    def _stream(self, raw: IO[bytes], name: str, where: str, depth: int) -> Iterator[Any]:
        """Yield the formulas of a file, whatever it is."""
        if depth > MAX_DEPTH:
            raise ValueError(f"{where}: archives in archives, over {MAX_DEPTH} deep: unpack it")
        archive = _ARCHIVE.fullmatch(where) and not _FORMULA.fullmatch(where)
        expected = "tar archive" if archive else "file"
        try:
            kind = _kind(raw)
            opener = lzma.LZMAFile if where.lower().endswith(".lzma") else _OPENERS.get(kind)
            if opener is not None:
                expected = expected if archive else str(kind).removeprefix("a ").removeprefix("an ")
                raw = opener(raw)
                kind = _kind(raw)
            stream = _Bounded(raw, self, where)
            if kind == "a tar archive" or (archive and kind is None):
                members = _tar_members(stream)
            elif kind is not None and kind.endswith("zip archive"):
                expected, members = "zip archive", self._zip_members(raw, where)
            elif kind is None:
                yield name, _text(stream, where)
                return
            else:
                raise ValueError(f"{where} is {kind}, which is not read: give {WANTED}")
            for member, content in members:
                full, inner = str(PurePosixPath(name, member.lstrip("/"))), f"{where}:{member}"
                if content is None or not _is_wanted(PurePosixPath(member).name):
                    self.ignored.append(full)
                    continue
                yield from self._stream(BytesIO(_whole(content, inner)), full, inner, depth + 1)
        except _FAULTS as error:
            raise ValueError(f"{where} is not a readable {expected}: {error}") from None

    def _zip_members(self, stream: Any, where: str) -> Iterator[tuple[str, Any]]:
        """Yield names and contents, None for links."""
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if stat.S_ISLNK(member.external_attr >> 16):
                    yield member.filename, None
                elif not member.is_dir():
                    with archive.open(member) as content:
                        yield member.filename, _Bounded(content, self, where)


class _Bounded:
    """Reads a stream, and refuses it where more comes out than may be."""

    def __init__(self, stream: Any, files: FormulaFiles, where: str) -> None:
        self._stream, self._files, self._where = stream, files, where

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._files._left -= len(data)
        if self._files._left < 0:
            raise ValueError(f"{self._where} unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
        return data


def _is_wanted(name: str) -> bool:
    return bool(_FORMULA.fullmatch(name) or _ARCHIVE.fullmatch(name))


def _kind(stream: Any) -> str | None:
    """What a stream's first bytes say that it is; it stands at its start again."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    return binary_kind(head.removeprefix(_BOM))


def _tar_members(stream: _Bounded) -> Iterator[tuple[str, Any]]:
    """Yield names and contents, None for what is no file.

    The archive is read to its end, so that a shortened one does not pass for a small one.
    """
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            if not member.isdir():
                yield member.name, archive.extractfile(member) if member.isreg() else None
    while stream.read(1 << 20):
        pass


def _whole(stream: Any, where: str) -> bytes:
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{where} is larger than {MAX_FILE_BYTES} bytes")
    return data


def _text(stream: Any, where: str) -> str:
    return _whole(stream, where).removeprefix(_BOM).decode("utf-8", errors="replace")
