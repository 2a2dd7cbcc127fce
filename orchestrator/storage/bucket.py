"""One bucket, as boto3 reaches it: explicit timeouts, bounded retries, errors in one line."""

import functools
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from orchestrator.storage.errors import Request, StorageError, told
from orchestrator.storage.redaction import hide, redact_logs
from orchestrator.storage.settings import S3Settings

MIB = 2**20


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
        try:
            return getattr(self.client, action)(Bucket=self.name, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise self.error(error, action, key or parameters.get("Prefix", "")) from None

    def error(self, error: ClientError | BotoCoreError, action: str, key: str) -> StorageError:
        """Return one of boto's errors as ours."""
        access_name, secret_name = self.settings.key_names
        return told(
            error,
            Request(
                action=self.client.meta.method_to_api_mapping.get(action, action),
                uri=self.uri(key),
                endpoint=self.settings.shown_endpoint,
                access_name=access_name,
                secret_name=secret_name,
            ),
        )

    def uri(self, key: str = "") -> str:
        """Return the URI of an object, or of the bucket."""
        return f"s3://{self.name}/{key}".rstrip("/")


@functools.lru_cache(maxsize=32)
def _client(settings: S3Settings, limits: Limits) -> Any:
    """Return a client of boto's, which all buckets of an endpoint share: it is slow to make."""
    session = _session(settings)
    keys = session.get_credentials()
    if keys is not None:
        frozen = keys.get_frozen_credentials()
        hide(filter(None, (frozen.access_key, frozen.secret_key, frozen.token)))
    return session.client("s3", endpoint_url=settings.endpoint, config=_config(settings, limits))


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
