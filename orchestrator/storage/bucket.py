"""One bucket, as boto3 reaches it: explicit timeouts, bounded retries, errors in one line."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from orchestrator.storage.errors import Request, StorageError, StorageRefused, told
from orchestrator.storage.redaction import hide, redact_logs
from orchestrator.storage.settings import S3Settings

MIB = 2**20
FIRST_CONTACT_S = 15.0
"""Seconds without a byte until an endpoint that never answered is given up."""
_LOOKS = ("get_object", "head_object", "list_objects_v2")
_ANSWERS = {
    "create_multipart_upload": ("UploadId",),
    "get_object": ("ETag", "ContentLength"),
    "head_object": ("ContentLength",),
    "list_objects_v2": ("IsTruncated",),
    "put_object": ("ETag",),
    "upload_part": ("ETag",),
}
"""What an endpoint of S3's answers at least."""
_reached: set[str] = set()
"""The endpoints that have answered this process."""
_without_sha256: set[str] = set()
"""Those that refuse requests with SHA-256 checksums, and take the same ones without."""
Sent = TypeVar("Sent")


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and times of transfers."""

    part_bytes: int = 16 * MIB
    """Size of a part of a multipart upload; S3 takes no less than 5 MiB."""
    num_threads: int = 4
    """Parts that are sent at a time, each held in memory."""
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0


class Bucket:
    """A bucket of an endpoint; may be used from many threads."""

    def __init__(self, name: str, settings: S3Settings, limits: Limits) -> None:
        """Make the client; nothing is sent yet."""
        self.name, self.settings, self.limits = name, settings, limits
        redact_logs()
        self.client = _client(settings, limits)

    def call(self, action: str, key: str = "", **parameters: Any) -> dict[str, Any]:
        """Send one request of S3's, as `call("get_object", key)`; raises StorageError."""
        if key:
            parameters["Key"] = key
        endpoint = self.settings.shown_endpoint
        is_first = action in _LOOKS and endpoint not in _reached
        client = _client(self.settings, self.limits, is_first) if is_first else self.client
        try:
            answer = getattr(client, action)(Bucket=self.name, **parameters)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError):
                _reached.add(endpoint)
            raise self.error(error, action, key or parameters.get("Prefix", "")) from None
        except _NotS3 as error:
            raise StorageError(f"{endpoint} {error}: check S3_ENDPOINT and the network") from None
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            answer = {}  # boto cannot read it
        if any(name not in answer for name in _ANSWERS.get(action, ())):
            if "Body" in answer:
                answer["Body"].close()
            raise StorageError(
                f"{endpoint} answers {self._api_name(action)} with what is not S3's: check "
                "S3_ENDPOINT, which names the address of S3 itself, not of a web page"
            )
        _reached.add(endpoint)
        return answer

    @property
    def takes_sha256(self) -> bool:
        """Whether requests carry SHA-256 checksums, which some endpoints do not know."""
        return self.settings.shown_endpoint not in _without_sha256

    def tried(self, send: Callable[[], Sent]) -> Sent:
        """Return what `send` gives; it is called again, without SHA-256, if that is refused."""
        endpoint = self.settings.shown_endpoint
        try:
            return send()
        except StorageRefused:
            if not self.takes_sha256:
                raise
        _without_sha256.add(endpoint)
        try:
            return send()
        except StorageRefused:
            _without_sha256.discard(endpoint)
            raise

    def error(self, error: ClientError | BotoCoreError, action: str, key: str) -> StorageError:
        """Return one of boto's errors as ours."""
        access_name, secret_name = self.settings.key_names
        return told(
            error,
            Request(
                action=self._api_name(action),
                uri=self.uri(key),
                endpoint=self.settings.shown_endpoint,
                access_name=access_name,
                secret_name=secret_name,
            ),
        )

    def _api_name(self, action: str) -> str:
        return self.client.meta.method_to_api_mapping.get(action, action)

    def uri(self, key: str = "") -> str:
        """Return the URI of an object, or of the bucket."""
        return f"s3://{self.name}/{key}".rstrip("/")


class _NotS3(Exception):
    """An endpoint that does not answer as S3 does, raised out of boto."""


def _refuse_redirects(**_: Any) -> None:
    """Keep boto from asking for a bucket's region, which is redirected as what it asks for is."""
    raise _NotS3("sends requests elsewhere without saying in which region, as S3 does not")


def _give_up(caught_exception: Exception | None = None, **_: Any) -> None:
    """Keep boto from repeating a request that an endpoint which never answered let pass."""
    if isinstance(caught_exception, ConnectTimeoutError | ReadTimeoutError):
        raise _NotS3("does not answer")


@functools.lru_cache(maxsize=32)
def _client(settings: S3Settings, limits: Limits, is_first: bool = False) -> Any:
    """Return a client of boto's, which all buckets of an endpoint share: it is slow to make.

    The one for the first contact gives up sooner.
    """
    if is_first:
        limits = replace(limits, read_timeout_s=min(limits.read_timeout_s, FIRST_CONTACT_S))
    session = _session(settings)
    keys = session.get_credentials()
    if keys is not None:
        frozen = keys.get_frozen_credentials()
        hide(filter(None, (frozen.access_key, frozen.secret_key, frozen.token)))
    client = session.client("s3", endpoint_url=settings.endpoint, config=_config(settings, limits))
    client.meta.events.register("before-call.s3.HeadBucket", _refuse_redirects)
    if is_first:
        client.meta.events.register_first("needs-retry.s3", _give_up)
    return client


def _session(settings: S3Settings) -> Any:
    if settings.access_key is None or settings.secret_key is None:
        return boto3.Session(profile_name=settings.profile, region_name=settings.region)
    token = settings.session_token
    return boto3.Session(
        aws_access_key_id=settings.access_key.get_secret_value(),
        aws_secret_access_key=settings.secret_key.get_secret_value(),
        aws_session_token=token.get_secret_value() if token else None,
        region_name=settings.region,
    )


def _config(settings: S3Settings, limits: Limits) -> Config:
    return Config(
        signature_version="s3v4",
        connect_timeout=limits.connect_timeout_s,
        read_timeout=limits.read_timeout_s,
        max_pool_connections=32,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        # Other endpoints than AWS seldom have a host name for each bucket.
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        # We send SHA-256 and MD5 ourselves; boto's trailing CRC is refused by older endpoints.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
