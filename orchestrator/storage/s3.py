"""A folder of an S3 bucket: the objects whose keys begin with its prefix."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from orchestrator.storage.bucket import Bucket
from orchestrator.storage.confirm import object_is
from orchestrator.storage.digests import Digest, b64, digest_bytes
from orchestrator.storage.errors import StorageChanged
from orchestrator.storage.folder import Count, Entry, no_count
from orchestrator.storage.location import check_name
from orchestrator.storage.multipart import read_part, upload_parts
from orchestrator.storage.reading import ObjectReader, buffered

CONTENT_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".txt": "text/plain; charset=utf-8",
}


class S3Folder:
    """A `Folder` in a bucket."""

    def __init__(self, bucket: Bucket, prefix: str = "") -> None:
        """Name the folder; nothing is sent yet."""
        self.bucket, self.prefix = bucket, prefix

    @property
    def uri(self) -> str:
        """Where the folder is."""
        return self.bucket.uri(self.prefix)

    def uri_of(self, name: str) -> str:
        """Where a file of it is."""
        return self.bucket.uri(self.key(name))

    def key(self, name: str) -> str:
        """Return the key of a file's object."""
        return check_name(self._start + name)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the files whose names begin with `prefix`, in order."""
        page: dict[str, Any] = {}
        while not page or page.get("IsTruncated"):
            more = {"ContinuationToken": page["NextContinuationToken"]} if page else {}
            page = self.bucket.call("list_objects_v2", Prefix=self._start + prefix, **more)
            for item in page.get("Contents", ()):
                name = item["Key"][len(self._start) :]
                if name and not name.endswith("/"):  # consoles mark folders so
                    yield Entry(name, item["Size"])

    def exists(self, name: str) -> bool:
        """Whether there is such a file; StorageMissing if there is no bucket."""
        # A listing, unlike HEAD, says whether it is the bucket that is missing or the key.
        page = self.bucket.call("list_objects_v2", Prefix=self.key(name), MaxKeys=1)
        return any(item["Key"] == self.key(name) for item in page.get("Contents", ()))

    def open_read(self, name: str, *, sha256: str | None = None) -> BinaryIO:
        """Open a file; with `sha256` its last read checks the bytes."""
        return buffered(ObjectReader(self.bucket, self.key(name)), self.uri_of(name), sha256)

    def write_whole(self, name: str, data: bytes) -> None:
        """Write a small file, in place of any other."""
        self._put(name, data, digest_bytes(data))

    def upload_file(self, name: str, path: Path, digest: Digest, count: Count = no_count) -> None:
        """Upload a file, in place of any other, and confirm what arrived."""
        key = self.key(name)
        if digest.num_parts == 1:
            self._put(name, read_part(path, digest, 0), digest)
            count(name, digest.num_bytes, digest.num_bytes)
        else:
            self.bucket.tried(
                lambda: upload_parts(
                    self.bucket, key, path, digest, content_type(name),
                    lambda _, done, total: count(name, done, total),
                )
            )  # fmt: skip
        if not object_is(self.bucket, key, digest):
            raise StorageChanged(
                f"{self.uri_of(name)} does not hold what was uploaded: somebody else writes it, "
                "or the endpoint damaged it; nothing was deleted here, start again"
            )

    def holds(self, name: str, digest: Digest) -> bool:
        """Whether there is such a file with these very bytes."""
        return object_is(self.bucket, self.key(name), digest)

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        self.bucket.call("delete_object", self.key(name))

    def _put(self, name: str, data: bytes, digest: Digest) -> None:
        def send() -> None:
            sha256 = {"ChecksumSHA256": digest.s3_sha256} if self.bucket.takes_sha256 else {}
            self.bucket.call(
                "put_object",
                self.key(name),
                Body=data,
                ContentType=content_type(name),
                ContentMD5=b64(digest.part_md5s[0]),
                **sha256,
            )

        self.bucket.tried(send)

    @property
    def _start(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""


def content_type(name: str) -> str:
    """Return the content type of a file, by its name."""
    return CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
