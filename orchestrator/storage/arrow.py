"""The same places and keys for pyarrow, which Ray Data and Parquet readers go through."""

from pathlib import Path
from urllib.parse import urlsplit

from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem, LocalFileSystem, S3FileSystem

from orchestrator.storage.location import parse_location
from orchestrator.storage.settings import S3Settings, read_settings


def arrow_place(uri: str | Path, settings: S3Settings | None = None) -> tuple[FileSystem, str]:
    """Return pyarrow's file system for a URI or path, and the path within it."""
    location = parse_location(uri)
    if isinstance(location, Path):
        return LocalFileSystem(), str(location)
    given = settings or read_settings()
    options: dict[str, object] = {}
    if given.access_key and given.secret_key:
        options["access_key"] = given.access_key.get_secret_value()
        options["secret_key"] = given.secret_key.get_secret_value()
    if given.session_token:
        options["session_token"] = given.session_token.get_secret_value()
    if given.endpoint:
        parts = urlsplit(given.endpoint)
        options |= {"scheme": parts.scheme, "endpoint_override": parts.netloc + parts.path}
    system = S3FileSystem(
        **options,
        region=given.region,
        connect_timeout=10,
        request_timeout=60,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=given.max_attempts),
    )
    return system, f"{location.bucket}/{location.key}".rstrip("/")
