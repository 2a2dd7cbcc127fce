"""Opens a folder by its URI: the same code reads and writes on this machine and in a bucket."""

from pathlib import Path

from orchestrator.storage.bucket import Bucket, Limits
from orchestrator.storage.folder import Folder
from orchestrator.storage.local import LocalFolder
from orchestrator.storage.location import parse_location
from orchestrator.storage.s3 import S3Folder
from orchestrator.storage.settings import S3Settings, read_settings

DEFAULT_LIMITS = Limits()


def open_folder(
    uri: str | Path, settings: S3Settings | None = None, limits: Limits = DEFAULT_LIMITS
) -> Folder:
    """Return the folder at `s3://BUCKET/KEY` or at a path; nothing is sent or made yet.

    The settings are read from the environment and `.env` if they are not given, for S3 only.
    Raises ValueError for a URI that cannot be, or settings that are missing.
    """
    location = parse_location(uri)
    if isinstance(location, Path):
        return LocalFolder(location)
    bucket = Bucket(location.bucket, settings or read_settings(), limits)
    return S3Folder(bucket, location.key)


def open_beside(
    uri: str, settings: S3Settings | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[Folder, str]:
    """Return the folder that the file at `uri` lies in, and the file's name there."""
    parse_location(uri)
    parent, _, name = uri.rpartition("/")
    if not name or parent == "s3:/":
        raise ValueError(f"{uri} names no file: end it with the file's name")
    if not parent:
        parent = "/" if uri.startswith("/") else "."
    return open_folder(parent, settings, limits), name
