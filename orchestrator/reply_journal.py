"""Every reply that was paid for, on the disk before it is used: a killed build pays for none twice.

The journal is JSONL, only ever appended to, and lies beside the dataset as `<name>.replies.jsonl`.
A line's `key` is the sha256 of what was asked, and its last key the hash of the others. There is no
chain of lines: one that was damaged can be removed, and is asked for again.
"""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datagen.replies import Reply
from datagen.shards import sync
from datagen.whole_file import SEAL, DamageError

SUFFIX = ".replies.jsonl"


def journal_beside(folder: Path, part: str = "") -> Path:
    """Return where the journal of a dataset lies, or of the dataset `part` of a run's folder.

    It is beside the folder, so that it stays when the folder is removed.
    """
    whole = folder.resolve()
    return whole.parent / f"{whole.name}{part and f'.{part}'}{SUFFIX}"


def reply_key(
    model: str, prompt: str, attempt: int, temperature: float | None, max_tokens: int
) -> str:
    """Return the key of a reply: the sha256 of the compact JSON list of the arguments."""
    asked = [model, prompt, attempt, temperature, max_tokens]
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()


class ReplyJournal:
    """The journal at a path, held by one process at a time; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets: dict[str, int] = {}
        self._end = 0

    def __enter__(self) -> Self:
        """Read what is there. A last line that a crash cut short is cut away.

        Raises ValueError if another process has it open, or a line is none of ours.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            self._hold()
            self._index()
            sync(self.path.parent)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._end == 0:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def find(self, key: str) -> Reply | None:
        """Return the reply of a key, if it was asked for before."""
        if key not in self._offsets:
            return None
        self._file.seek(self._offsets[key])
        record = json.loads(self._file.readline())
        return Reply(record.get("text"), record.get("failure"))

    def add(self, key: str, reply: Reply, **about: Any) -> None:
        """Append a reply, with what else is known about it, and force it to the disk."""
        outcome = {"text": reply.text} if reply.failure is None else {"failure": reply.failure}
        record = {"key": key, **about, **outcome}
        line = _compact({**record, SEAL: _hash(record)}) + b"\n"
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._offsets[key] = self._end
        self._end += len(line)

    def _hold(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        else:
            # A process that had nothing to keep has removed the file since it was opened here.
            free = os.fstat(self._file.fileno()).st_nlink > 0
        if not free:
            raise ValueError(
                f"{self.path} is in use: another process makes this dataset; wait for it"
            )

    def _index(self) -> None:
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                self._file.truncate(self._end)
                break
            self._offsets[_checked_key(line, f"{self.path}:{number}")] = self._end
            self._end += len(line)


def _checked_key(line: bytes, where: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict) and isinstance(record.get("key"), str):
        claimed = record.pop(SEAL, None)  # not in lines of earlier versions
        if claimed is not None and claimed != _hash(record):
            raise DamageError(
                f"{where} does not match its hash: its bytes were changed; remove the line to ask "
                "anew"
            )
        has_text = isinstance(record.get("text"), str)
        if has_text != isinstance(record.get("failure"), str):
            return record["key"]
    raise ValueError(f"{where} is no reply: remove the line, or the file to ask anew")


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(_compact(record)).hexdigest()


def _compact(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
