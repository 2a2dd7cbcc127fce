"""What goes wrong with storage, each as one line that names the object and what to do.

    OSError
      StorageError            the endpoint failed or cannot be reached
        StorageDenied         wrong key or no permission (a PermissionError)
        StorageMissing        no such bucket or object (a FileNotFoundError)
        StorageChanged        an object is not what it was, or not what was uploaded
        StorageRefused        the endpoint does not know such a request

Messages are made of codes and names of ours, since what a server or a library says may hold a
secret; only what an endpoint says of a request that it does not know is told, redacted.
"""

from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from orchestrator.storage.redaction import redact


class StorageError(OSError):
    """The storage failed; the message says where and what to do."""


class StorageDenied(StorageError, PermissionError):
    """The endpoint refuses the key, or the key may not do this."""


class StorageMissing(StorageError, FileNotFoundError):
    """There is no such bucket or object."""


class StorageChanged(StorageError):
    """The bytes are not the ones expected: somebody changed the object."""


class StorageRefused(StorageError):
    """The endpoint does not know such a request, or a header of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of an endpoint, in the words of a message."""

    action: str
    uri: str
    endpoint: str
    access_name: str
    secret_name: str

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.uri.removeprefix("s3://").partition("/")[0]


_DENIED = {
    "InvalidAccessKeyId": "{endpoint} does not know the key in {access_name}: correct it",
    "SignatureDoesNotMatch": "{endpoint}: {secret_name} does not fit {access_name}: correct it",
    "ExpiredToken": "the session token for {endpoint} has expired: get new keys",
    "InvalidToken": "{endpoint} refuses the session token: get new keys",
    "RequestTimeTooSkewed": "{endpoint} refuses this machine's clock: set the clock",
}
_ELSEWHERE = ("PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocation")
_PERMISSIONS = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
UNKNOWN = (400, 501)
"""Statuses of requests that an endpoint does not know."""
_DAMAGED = ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody")
_REFUSED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "401")


def told(error: ClientError | BotoCoreError, request: Request) -> StorageError:
    """Return the error of ours for one of boto's."""
    if isinstance(error, ClientError):
        return _answered(error, request)
    endpoint, action, uri = request.endpoint, request.action, request.uri
    if isinstance(error, SSLError):
        return StorageError(f"no trusted connection to {endpoint}: check its certificate")
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ProxyConnectionError):
        return StorageError(f"cannot reach {endpoint} for {uri}: check S3_ENDPOINT and the network")
    if isinstance(error, HTTPClientError | BotoConnectionError):
        return StorageError(
            f"the connection to {endpoint} was cut in {action} of {uri}, also when tried again: "
            "the same command goes on"
        )
    return StorageError(f"{action} of {uri} failed: {type(error).__name__}")


def _answered(error: ClientError, request: Request) -> StorageError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode") or 0)
    where = {"endpoint": request.endpoint, "access_name": request.access_name}
    if code in _DENIED:
        line = _DENIED[code].format(**where, secret_name=request.secret_name)
        return StorageDenied(f"{line} ({code})")
    if code == "NoSuchBucket":
        return StorageMissing(
            f"no bucket {request.bucket!r} at {request.endpoint}: create it, or correct the URI"
        )
    if code in ("NoSuchKey", "404"):
        return StorageMissing(f"no object at {request.uri} ({request.endpoint})")
    if code in ("PreconditionFailed", "412"):
        return StorageChanged(f"{request.uri} has changed while it was read: start again")
    if code.startswith(_ELSEWHERE):
        return StorageDenied(f"{request.uri} lies in another region ({code}): set S3_REGION")
    if code in _REFUSED:
        permission = _PERMISSIONS.get(request.action, request.action)
        return StorageDenied(
            f"the key in {request.access_name} may not do {request.action} at {request.uri}: "
            f"grant it s3:{permission}, or use another key ({code})"
        )
    if (status >= 500 and status not in UNKNOWN) or status == 429 or code == "SlowDown":
        times = int(metadata.get("RetryAttempts") or 0) + 1
        return StorageError(
            f"{request.endpoint} answered {status} {code} to {request.action} of {request.uri}, "
            f"{times} times: try later, the same command goes on"
        )
    refused = f"{request.endpoint} refused {request.action} of {request.uri}: {status} {code}"
    if status in UNKNOWN and code not in _DAMAGED:
        said = " ".join(redact(str(error.response["Error"].get("Message", ""))).split())
        return StorageRefused(f"{refused}{said and f' ({said[:200]})'}")
    return StorageError(refused)
