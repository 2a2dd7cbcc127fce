"""What a file's bytes are: the hashes by which it is uploaded, recognised and confirmed."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MIB = 2**20
MAX_PARTS = 10_000


@dataclass(frozen=True)
class Digest:
    """Size and hashes of a file or of bytes; one part if it is uploaded in one piece."""

    num_bytes: int
    sha256: str
    part_bytes: int
    part_sha256s: tuple[bytes, ...]
    part_md5s: tuple[bytes, ...]

    @property
    def num_parts(self) -> int:
        """Number of parts of its upload."""
        return len(self.part_sha256s)

    @cached_property
    def s3_sha256(self) -> str:
        """The checksum that S3 keeps: of the bytes, or of the parts' checksums."""
        (first, *others) = self.part_sha256s
        return b64(hashlib.sha256(b"".join((first, *others))).digest() if others else first)

    @cached_property
    def s3_etag(self) -> str:
        """The ETag that S3 gives where it does not encrypt with a key of its own."""
        (first, *others) = self.part_md5s
        if not others:
            return first.hex()
        joined = hashlib.md5(b"".join((first, *others)), usedforsecurity=False).hexdigest()
        return f"{joined}-{self.num_parts}"


def b64(digest: bytes) -> str:
    """Return a digest as the headers of S3 carry it."""
    return base64.b64encode(digest).decode()


def md5(data: bytes) -> bytes:
    """Return the MD5 by which older endpoints check what they receive."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def digest_file(path: Path, part_bytes: int) -> Digest:
    """Read a file once and return its digest; at most 10,000 parts of at least `part_bytes`."""
    least = -(-path.stat().st_size // MAX_PARTS)
    if least > part_bytes:
        part_bytes = -(-least // MIB) * MIB
    whole, num_bytes = hashlib.sha256(), 0
    sha256s: list[bytes] = []
    md5s: list[bytes] = []
    with path.open("rb") as file:
        while (data := file.read(part_bytes)) or not sha256s:
            whole.update(data)
            num_bytes += len(data)
            sha256s.append(hashlib.sha256(data).digest())
            md5s.append(md5(data))
    return Digest(num_bytes, whole.hexdigest(), part_bytes, tuple(sha256s), tuple(md5s))


def digest_bytes(data: bytes) -> Digest:
    """Return the digest of bytes that are uploaded in one piece."""
    sha256 = hashlib.sha256(data).digest()
    return Digest(len(data), sha256.hex(), max(1, len(data)), (sha256,), (md5(data),))
