"""Files that appear whole or not at all, and JSON that can prove that its bytes are right."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from datagen.shards import disk_errors, partial_path, remove_abandoned, sync

SEAL = "sha256"
"""The last key of sealed JSON: the hash of the text of all other keys."""


class DamageError(ValueError):
    """A file's bytes are not those that were written; the message names the file and the place."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path`, in place of any other, when the block ends well.

    If the block fails, what was at `path` is still there. What dead processes of this machine left
    of the same file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    partial = partial_path(path)
    try:
        with disk_errors(path):
            with partial.open("w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Replace a small file of the moment, whole or not at all, without waiting for the disk."""
    partial = partial_path(path)
    try:
        with disk_errors(path):
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def seal_json(content: Mapping[str, Any]) -> str:
    """Return `content` as JSON text with its own hash under `SEAL`.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    open_content = {key: value for key, value in content.items() if key != SEAL}
    digest = hashlib.sha256(_text(open_content).encode()).hexdigest()
    return _text({**open_content, SEAL: digest})


def read_sealed(path: Path, fix: str) -> dict[str, Any]:
    """Return the content of a file that holds the text of `seal_json`, without the seal.

    Raises DamageError, which ends with `fix`, where a byte has changed; FileNotFoundError where
    there is no file.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
        intact = isinstance(content, dict) and seal_json(content) == text
    except (ValueError, RecursionError):
        intact = False
    if not intact:
        raise DamageError(f"{path} does not match its hash: its bytes were changed; {fix}")
    del content[SEAL]
    return dict(content)


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
