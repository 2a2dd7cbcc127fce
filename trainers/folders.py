"""Folders that appear whole or not at all, and that can prove that their bytes are right.

A folder is written beside its place as `.tmp-<name>-<token>`, closed with a manifest of sizes and
hashes, flushed to the disk and renamed. A crash at any moment leaves the old folder or the new
one. A kill may leave a temporary folder; the next save to the same place removes it.
"""

import ctypes
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from datagen.shards import SaveError as SaveError
from datagen.shards import save_error as save_error
from datagen.whole_file import DamageError

FORMAT = "clutch-folder-v1"
MANIFEST = "manifest.json"
KEYS = {"format", "meta", "files", "sha256"}
TEMPORARY = ".tmp-"
ASIDE = ".old-"
AT_FDCWD = -100
RENAME_EXCHANGE = 2


def save_folder(target: Path, write: Callable[[Path], None], meta: dict[str, Any]) -> None:
    """Publish the folder that `write(folder)` fills as `target`, atomically and durably.

    `meta` (JSON) says in the manifest what the folder was made from. An existing target is
    replaced: at each moment there is the old one or the new one. Only one process may save to a
    target at a time. Raises SaveError, in one line, where the disk is full or refuses.
    """
    temporary = target.with_name(f"{TEMPORARY}{target.name}-{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        recover_folder(target)
        remove_leftovers(target.parent, target.name)
        temporary.mkdir()
        write(temporary)
        _write_manifest(temporary, meta)
        _apply_umask(temporary)
        _sync_tree(temporary)
        _publish(temporary, target)
        sync_folder(target.parent)
    except (OSError, SafetensorError) as error:
        raise save_error(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify_folder(path: Path) -> dict[str, Any]:
    """Check every file of a saved folder against its manifest, and return the manifest.

    The manifest holds `format`, `meta`, `files` (by name: `sha256`, `bytes`) and `sha256`, its own
    hash. Raises DamageError naming the first file that is missing or differs.
    """
    recover_folder(path)
    manifest = _read_manifest(path / MANIFEST)
    for name, expected in manifest["files"].items():
        file = path / name
        try:
            actual = _describe(file)
        except OSError as error:
            raise DamageError(f"{file} cannot be read: {error.strerror}") from None
        if actual != expected:
            raise DamageError(f"{file} does not match its manifest: its bytes were changed")
    return manifest


def verify_model(path: Path) -> None:
    """Check a model folder that a run exported; one from elsewhere has no manifest of ours.

    Raises DamageError as `verify_folder`, with the fix.
    """
    if not (path / MANIFEST).is_file() and not path.with_name(f"{ASIDE}{path.name}").exists():
        return
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        manifest = None
    # One changed byte spoils one key at most.
    foreign = isinstance(manifest, dict) and len(KEYS & manifest.keys()) < len(KEYS) - 1
    if foreign:
        return
    try:
        verify_folder(path)
    except DamageError as error:
        fix = "clutch run, with the config of its run, makes it again"
        raise DamageError(f"{error}; {fix}") from None


def write_text(path: Path, text: str) -> None:
    """Replace a small text file atomically and durably. Raises SaveError."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary, os.O_RDONLY)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise save_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder so that a crash never leaves half of it under its name."""
    aside = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(parent: Path, name: str | None = None) -> None:
    """Remove what killed saves left in `parent`: those of `name`, or all of them."""
    wanted = r".+" if name is None else re.escape(name)
    pattern = re.compile(rf"{re.escape(TEMPORARY)}{wanted}-[0-9a-f]{{8}}")
    for entry in parent.iterdir():
        if not pattern.fullmatch(entry.name):
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def recover_folder(target: Path) -> None:
    """Finish a replacement that was cut short where the file system cannot exchange folders."""
    aside = target.with_name(f"{ASIDE}{target.name}")
    if not aside.exists():
        return
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.rename(target)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power loss."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _publish(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
    elif _exchange(temporary, target):
        sync_folder(target.parent)  # only then may the old one, now the temporary one, go
    else:
        aside = target.with_name(f"{ASIDE}{target.name}")
        target.rename(aside)
        temporary.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one atomic step (Linux renameat2); False where that is impossible."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second))
    if renameat2(*names, RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(second))


def _write_manifest(folder: Path, meta: dict[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "format": FORMAT,
        "meta": meta,
        "files": {path.relative_to(folder).as_posix(): _describe(path) for path in files},
    }
    manifest["sha256"] = _digest(manifest)
    (folder / MANIFEST).write_text(_manifest_text(manifest), encoding="utf-8")


def _apply_umask(folder: Path) -> None:
    """Give all files the mode that the umask gave the manifest: safetensors makes its own 0600."""
    mode = stat.S_IMODE((folder / MANIFEST).stat().st_mode)
    for parent, _, names in os.walk(folder):
        for name in names:
            Path(parent, name).chmod(mode)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
    except OSError as error:
        raise DamageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DamageError(f"{path} is not JSON: its bytes were changed") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamageError(f"{path} is not a manifest of the format {FORMAT}")
    digest = _digest({key: manifest[key] for key in manifest if key != "sha256"})
    if manifest.get("sha256") != digest or _manifest_text(manifest).encode() != content:
        raise DamageError(f"{path} does not match its own hash: its bytes were changed")
    return manifest


def _manifest_text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": digest, "bytes": os.fstat(file.fileno()).st_size}


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(parent, name), os.O_RDONLY)
        sync_folder(Path(parent))


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
