"""Checks a version: every byte of it against its manifest, and its rows against their hash."""

import hashlib
from pathlib import Path

from datagen.manifest import verify_dataset
from datagen.registry.manifest import VersionManifest, content_hash
from datagen.registry.rows import row_line
from datagen.registry.stored import PROBLEMS_FOLDER, check_file, stored_rows
from datagen.registry.versions import Registry


def verify_version(registry: Registry, key: str) -> VersionManifest:
    """Read all of a version and return its manifest.

    Raises ValueError naming the file that is missing or has changed, or the split whose rows are
    not those that the manifest tells of.
    """
    manifest, folder = registry.load(key), registry.path(key)
    verify_files(folder, manifest)
    if manifest.kind == "problems":
        verify_dataset(folder / PROBLEMS_FOLDER)
    num_rows = 0
    for split, sha256 in manifest.rows.items():
        whole = hashlib.sha256()
        for found in stored_rows(folder, manifest, split):
            whole.update(row_line(found.row))
            num_rows += 1
        if whole.hexdigest() != sha256:
            raise ValueError(f"{folder}: the rows of split {split!r} do not match the manifest")
    if content_hash(manifest.kind, manifest.rows) != manifest.content_hash:
        raise ValueError(f"{folder}: the rows do not match the content_hash")
    if num_rows != manifest.trace_count:
        raise ValueError(
            f"{folder} has {num_rows:,} rows, its manifest says {manifest.trace_count:,}"
        )
    return manifest


def verify_files(folder: Path, manifest: VersionManifest) -> None:
    """Check the bytes of all files; ValueError names the one that is not as it was."""
    for name in manifest.files:
        check_file(folder, manifest, name)
