"""Uploads a file in parts, several at a time, each with its checksums; all of it or nothing.

The object appears when the upload is completed. An upload that fails is aborted, so that its parts
are neither seen nor paid for.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orchestrator.storage.bucket import Bucket
from orchestrator.storage.confirm import object_is
from orchestrator.storage.digests import Digest, b64, md5
from orchestrator.storage.errors import StorageChanged, StorageError
from orchestrator.storage.folder import Count

logger = logging.getLogger(__name__)


def upload_parts(
    bucket: Bucket, key: str, path: Path, digest: Digest, content_type: str, count: Count
) -> None:
    """Upload `path` as the object at `key`."""
    algorithm = {"ChecksumAlgorithm": "SHA256"} if bucket.takes_sha256 else {}
    upload = bucket.call("create_multipart_upload", key, ContentType=content_type, **algorithm)
    upload_id = upload["UploadId"]
    try:
        parts = list(_sent(bucket, key, path, digest, upload_id, count))
        _complete(bucket, key, digest, upload_id, parts)
    except BaseException:
        _abort(bucket, key, upload_id)
        raise


def _sent(
    bucket: Bucket, key: str, path: Path, digest: Digest, upload_id: str, count: Count
) -> Iterator[dict[str, Any]]:
    takes_sha256 = bucket.takes_sha256

    def send(index: int) -> dict[str, Any]:
        data = read_part(path, digest, index)
        sha256 = {"ChecksumSHA256": b64(digest.part_sha256s[index])} if takes_sha256 else {}
        answer = bucket.call(
            "upload_part",
            key,
            UploadId=upload_id,
            PartNumber=index + 1,
            Body=data,
            ContentMD5=b64(digest.part_md5s[index]),
            **sha256,
        )
        return {"PartNumber": index + 1, "ETag": answer["ETag"], **sha256}

    with ThreadPoolExecutor(bucket.limits.num_threads, "upload") as threads:
        try:
            for number, part in enumerate(threads.map(send, range(digest.num_parts)), start=1):
                count(key, min(number * digest.part_bytes, digest.num_bytes), digest.num_bytes)
                yield part
        except BaseException:
            threads.shutdown(cancel_futures=True)  # an interrupt does not wait for all parts
            raise


def read_part(path: Path, digest: Digest, index: int) -> bytes:
    """Return one part of a file; StorageChanged if it is not what its digest says."""
    with path.open("rb") as file:
        file.seek(index * digest.part_bytes)
        data = file.read(digest.part_bytes)
    if md5(data) != digest.part_md5s[index]:
        raise StorageChanged(f"{path} changed while it was uploaded: start again")
    return data


def _complete(
    bucket: Bucket, key: str, digest: Digest, upload_id: str, parts: list[dict[str, Any]]
) -> None:
    try:
        bucket.call(
            "complete_multipart_upload",
            key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )
    except StorageError:
        # The answer may have been lost on its way: then the object is there, and the upload not.
        if not object_is(bucket, key, digest):
            raise


def _abort(bucket: Bucket, key: str, upload_id: str) -> None:
    try:
        bucket.call("abort_multipart_upload", key, UploadId=upload_id)
    except StorageError as error:
        logger.warning("an unfinished upload of %s is left: %s", bucket.uri(key), error)
