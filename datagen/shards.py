"""Writes the Parquet files of a split, and folders that appear whole or not at all."""

import contextlib
import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.manifest import SCHEMA, ShardInfo, file_sha256


class ShardWriter:
    """Writes tables to `<split>-00000.parquet`, …, each of at most `shard_rows` rows."""

    def __init__(self, folder: Path, split: str, shard_rows: int, first: int = 0) -> None:
        """Write into `folder`; `first` is the number of the first file."""
        self.folder = folder
        self.first = first
        self.split = split
        self.shard_rows = shard_rows
        self.shards: list[ShardInfo] = []
        self._writer: pq.ParquetWriter | None = None
        self._path = folder
        self._num_rows = 0

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table, going on to the next file when one is full."""
        while len(table):
            writer = self._writer or self._open()
            part = table.slice(0, self.shard_rows - self._num_rows)
            writer.write_table(part)
            self._num_rows += len(part)
            table = table.slice(len(part))
            if self._num_rows == self.shard_rows:
                self._finish()

    def close(self) -> tuple[ShardInfo, ...]:
        """Finish the last file and return what was written."""
        self._finish()
        return tuple(self.shards)

    def _open(self) -> pq.ParquetWriter:
        self._path = self.folder / f"{self.split}-{self.first + len(self.shards):05d}.parquet"
        self._writer = pq.ParquetWriter(
            self._path,
            SCHEMA,
            compression="snappy",
            use_dictionary=["task", "split", "difficulty"],
            write_statistics=False,
        )
        self._num_rows = 0
        return self._writer

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        sync(self._path)
        self.shards.append(
            ShardInfo(
                file=self._path.name,
                num_rows=self._num_rows,
                num_bytes=self._path.stat().st_size,
                sha256=file_sha256(self._path),
            )
        )


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary sibling that becomes `folder` when the block ends without an exception.

    Files must have been synced by the block. What dead processes of this machine left of the same
    folder is removed; so is the sibling if the block fails.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(folder)
    remove_abandoned(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_errors(folder):
            partial.mkdir()
            yield partial
            sync(partial)
            partial.rename(folder)
            sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class SaveError(OSError):
    """Something could not be written; what was saved before is untouched."""


def save_error(target: Path, error: BaseException) -> SaveError:
    """Put an error of the disk, also one that safetensors wrapped, into one line."""
    wrapped = re.search(r"\(os error (\d+)\)", str(error))
    code = int(wrapped[1]) if wrapped else getattr(error, "errno", None)
    reason = os.strerror(code) if code else str(error).split("\n")[0]
    advice = ": free some space and run again" if code in (errno.ENOSPC, errno.EDQUOT) else ""
    return SaveError(f"cannot save {target}: {reason}{advice} (what was saved before is untouched)")


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise what the disk refuses in a block as a SaveError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            raise save_error(path, error) from error
        raise


def sync(path: Path) -> None:
    """Force a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def partial_path(path: Path) -> Path:
    """Return the temporary sibling that this process writes before it becomes `path`."""
    return path.parent / f".{path.name}.partial-{socket.gethostname()}-{os.getpid()}"


def remove_abandoned(path: Path) -> None:
    """Remove temporary siblings, files or folders, whose process, on this machine, is gone."""
    prefix = f".{path.name}.partial-{socket.gethostname()}-"
    for left in path.parent.glob(f".{path.name}.partial-*"):
        process = left.name.removeprefix(prefix)
        if process.isdigit() and not Path(f"/proc/{process}").exists() and Path("/proc").exists():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
