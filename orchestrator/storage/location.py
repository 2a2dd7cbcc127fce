"""Where files are: `s3://bucket/key`, or a folder of this machine."""

import re
from dataclasses import dataclass
from pathlib import Path

from datagen.strict import at_home

MAX_KEY_BYTES = 1024
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://?")


@dataclass(frozen=True, slots=True)
class S3Location:
    """A place in a bucket; the key is empty for the bucket itself."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")


Location = S3Location | Path


def parse_location(text: str | Path) -> Location:
    """Return where a URI or path points; a trailing slash means nothing, `~` the home folder.

    Keys are taken as they are written: no percent-decoding. Raises ValueError for a URI without a
    bucket, for another scheme, and for keys with empty, `.` or `..` steps.
    """
    text = str(text)
    if not text.strip():
        raise ValueError("the location is empty: give a path, or s3://BUCKET/KEY")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Path(at_home(text))
    if scheme[1] != "s3" or not text.startswith("s3://"):
        raise ValueError(f"{text}: not a place that is known: give a path, or s3://BUCKET/KEY")
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if not bucket:
        raise ValueError(f"{text} names no bucket: write s3://BUCKET/KEY")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"{text}: {bucket!r} is no bucket's name: 3 to 63 letters, digits, dots and dashes"
        )
    key = key.removesuffix("/")
    return S3Location(bucket, check_name(key, text) if key else "")


def check_name(name: str, shown: str | None = None) -> str:
    """Return a file's name below a folder, as `a/b.json`; ValueError if it could lead elsewhere."""
    where = name if shown is None else shown
    if any(step in ("", ".", "..") for step in name.split("/")):
        raise ValueError(f"{where!r}: a name has no empty, '.' or '..' steps between its slashes")
    if not name.isprintable() or len(name.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"{where!r}: a name is printable, and at most {MAX_KEY_BYTES} bytes")
    return name
