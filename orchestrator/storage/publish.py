"""Publishes a dataset, or one file, exactly once: upload, confirm, then anything else.

A dataset's shards go first and its manifest last, so that a half set has no manifest and is taken
for none. What is there already is recognised by its checksums and not sent again; what is there
and differs is never overwritten, unless it is what an upload that was cut off has left.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from datagen.manifest import MANIFEST, Manifest, load_manifest
from orchestrator.storage.digests import Digest, digest_file
from orchestrator.storage.folder import Count, Folder, no_count
from orchestrator.storage.local import LocalFolder
from orchestrator.storage.local_copy import LocalCopy, check_only_these
from orchestrator.storage.opening import DEFAULT_LIMITS
from orchestrator.storage.presign import check_can_presign, presigned_url

MAX_MANIFEST_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file, where it is now; `uploaded` is False if it was there already."""

    name: str
    uri: str
    num_bytes: int
    uploaded: bool


@dataclass(frozen=True, slots=True)
class Published:
    """What was published; the URLs are secret: print them once, and keep them out of files."""

    uri: str
    files: tuple[PublishedFile, ...]
    dataset_hash: str | None = None
    urls: Mapping[str, SecretStr] = field(default_factory=dict)

    @property
    def num_uploaded(self) -> int:
        """Number of files that were not there before."""
        return sum(file.uploaded for file in self.files)


def publish_folder(
    folder: Path,
    target: Folder,
    *,
    presign_hours: int | None = None,
    delete_local: bool = False,
    dry_run: bool = False,
    progress: Count = no_count,
) -> Published:
    """Publish the dataset in `folder` as `target`; the same call again uploads nothing.

    With `presign_hours` each file gets a URL. With `delete_local` the folder is removed, once all
    of it is confirmed to be there. A dry run only looks what would be uploaded. Raises ValueError
    if `folder` is no whole dataset or `target` holds another one, and OSError if storage fails.
    """
    check_can_presign(target, presign_hours)
    manifest = load_manifest(folder)
    shards = {s.file: s.sha256 for split in manifest.splits.values() for s in split.shards}
    copy = LocalCopy(folder)
    if delete_local:
        check_only_these(folder, {*shards, MANIFEST})
    _refuse_itself(folder, target)
    present = _holds_manifest(target, manifest)
    files = [
        _put(target, name, copy.path(name), _digest(copy, name, target, sha256), dry_run, progress)
        for name, sha256 in shards.items()
    ]
    digest = _digest(copy, MANIFEST, target, None)
    if present:
        # Another making of the same rows differs in its date alone: the first one stands.
        files.append(PublishedFile(MANIFEST, target.uri_of(MANIFEST), digest.num_bytes, False))
    else:
        files.append(_put(target, MANIFEST, copy.path(MANIFEST), digest, dry_run, progress))
    urls = {} if dry_run else _urls(target, files, presign_hours)
    if delete_local and not dry_run:
        copy.delete_folder()
    return Published(target.uri, tuple(files), manifest.dataset_hash, urls)


def publish_file(
    path: Path,
    target: Folder,
    name: str,
    *,
    presign_hours: int | None = None,
    delete_local: bool = False,
    dry_run: bool = False,
    progress: Count = no_count,
) -> Published:
    """Publish one file as `name` in `target`, with the promises of `publish_folder`.

    Raises ValueError if there is another file of that name.
    """
    check_can_presign(target, presign_hours)
    if not path.is_file():
        raise ValueError(f"no file at {path}")
    _refuse_itself(path, target, name)
    copy = LocalCopy(path.parent)
    digest = _digest(copy, path.name, target, None)
    if target.exists(name) and not target.holds(name, digest):
        raise ValueError(f"{target.uri_of(name)} holds other bytes: choose another name")
    file = _put(target, name, path, digest, dry_run, progress)
    urls = {} if dry_run else _urls(target, [file], presign_hours)
    if delete_local and not dry_run:
        copy.delete_file(path.name)
    return Published(file.uri, (file,), None, urls)


def _put(
    target: Folder, name: str, path: Path, digest: Digest, dry_run: bool, progress: Count
) -> PublishedFile:
    there = target.exists(name) and target.holds(name, digest)
    if not there and not dry_run:
        target.upload_file(name, path, digest, progress)
    return PublishedFile(name, target.uri_of(name), digest.num_bytes, not there)


def _digest(copy: LocalCopy, name: str, target: Folder, sha256: str | None) -> Digest:
    """Return the digest of a local file; ValueError if its bytes are not the manifest's."""
    if not copy.path(name).is_file():
        raise ValueError(f"{copy.path(name)} is missing: the manifest names it")
    bucket = getattr(target, "bucket", None)
    limits = bucket.limits if bucket else DEFAULT_LIMITS
    digest = digest_file(copy.path(name), limits.part_bytes)
    copy.remember(name, digest)
    if sha256 is not None and digest.sha256 != sha256:
        raise ValueError(
            f"{copy.path(name)} has sha256 {digest.sha256}, the manifest says {sha256}: "
            "it was changed; make the dataset again"
        )
    return digest


def _holds_manifest(target: Folder, ours: Manifest) -> bool:
    """Whether the target has this dataset's manifest; ValueError if it has another one."""
    if not target.exists(MANIFEST):
        return False
    with target.open_read(MANIFEST) as file:
        text = file.read(MAX_MANIFEST_BYTES)
    try:
        theirs = json.loads(text)["dataset_hash"]
    except (ValueError, KeyError, TypeError):
        theirs = "of no dataset of ours"
    if theirs != ours.dataset_hash:
        raise ValueError(
            f"{target.uri} already holds another dataset ({str(theirs)[:64]}): choose another place"
        )
    return True


def _urls(target: Folder, files: list[PublishedFile], hours: int | None) -> dict[str, SecretStr]:
    if hours is None:
        return {}
    return {file.name: presigned_url(target, file.name, hours) for file in files}


def _refuse_itself(source: Path, target: Folder, name: str = "") -> None:
    if not isinstance(target, LocalFolder):
        return
    place = (target.path / name).resolve()
    if place == source.resolve() or source.resolve() in place.parents:
        raise ValueError(f"{place} lies in {source} itself: choose another place")
