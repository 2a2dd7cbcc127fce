"""Whether an object holds the very bytes of a file, by what the endpoint says or by reading it.

An endpoint's SHA-256 and its ETag (an MD5, where nothing is encrypted with a key of its own) are
asked first. Some endpoints repeat the checksum they were sent without computing it, so that it
counts only where the ETag agrees or says nothing. Any doubt is settled by reading the object.
"""

import hashlib
import re
from typing import Any

from orchestrator.storage.bucket import MIB, Bucket
from orchestrator.storage.digests import Digest
from orchestrator.storage.errors import StorageMissing
from orchestrator.storage.reading import ObjectReader

_MD5 = re.compile(r'"?([0-9a-f]{32}(?:-\d+)?)"?')


def object_is(bucket: Bucket, key: str, digest: Digest) -> bool:
    """Whether the object at `key` has the size and the bytes of `digest`; False without one."""
    try:
        head = bucket.tried(lambda: _head(bucket, key))
    except StorageMissing:
        return False
    if head["ContentLength"] != digest.num_bytes:
        return False
    sha256, etag = _sha256_agrees(head, digest), _etag_agrees(head, digest)
    if etag is not False and (sha256 or (etag and sha256 is None)):
        return True
    return _read_sha256(bucket, key) == digest.sha256


def _head(bucket: Bucket, key: str) -> dict[str, Any]:
    mode = {"ChecksumMode": "ENABLED"} if bucket.takes_sha256 else {}
    return bucket.call("head_object", key, **mode)


def _sha256_agrees(head: dict[str, Any], digest: Digest) -> bool | None:
    said = head.get("ChecksumSHA256")
    return None if said is None else said.partition("-")[0] == digest.s3_sha256


def _etag_agrees(head: dict[str, Any], digest: Digest) -> bool | None:
    said = _MD5.fullmatch(head.get("ETag", ""))
    encrypted = head.get("ServerSideEncryption") not in (None, "AES256")
    if said is None or encrypted or "SSECustomerAlgorithm" in head:
        return None
    return said[1] == digest.s3_etag


def _read_sha256(bucket: Bucket, key: str) -> str:
    whole = hashlib.sha256()
    with ObjectReader(bucket, key) as body:
        while data := body.read(MIB):
            whole.update(data)
    return whole.hexdigest()
