"""The data of a task: looked at where it lies, and put as the platform is to read it.

s3://BUCKET/KEY is read and presigned; an http(s) URL is read as anyone can; hf://OWNER/NAME is a
dataset on the Hub, of which nothing is known here; a local file can only be looked at.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx2

from datagen.evaluations.source import Stream
from datagen.formats.gradients import MAX_BYTES
from datagen.strict import at_home
from orchestrator.gradients.checks import Checked
from orchestrator.gradients.models import FileFormat
from orchestrator.storage.opening import open_beside
from orchestrator.storage.presign import check_presign_hours, presigned_url
from orchestrator.storage.redaction import redact_logs

READ_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Data:
    """Data as a request names it.

    `identity` says which data it is, and stays the same when a URL is signed anew.
    """

    location: str
    file_format: FileFormat
    identity: str
    checked: Checked | None = None


class Check(Protocol):
    """Reads a file to its end and returns what it is; ValueError for what the platform refuses."""

    def __call__(self, stream: Stream, name: str) -> Checked: ...


def find_data(uri: str, check: Check | None, presign_hours: int, *, only_look: bool) -> Data:
    """Return the data at a URI, checked unless `check` is None.

    `only_look` allows a local file, which the platform could not read. Raises ValueError for data
    that is not there or is refused.
    """
    redact_logs()
    check_presign_hours(presign_hours)
    scheme, _, rest = uri.partition("://")
    if scheme == "hf" and rest:
        return Data(rest, "hf", uri)
    if scheme in ("http", "https"):
        return _from_url(uri, check)
    if scheme == "s3":
        folder, name = open_beside(uri)
        checked = None
        if check is not None:
            with closing(folder.open_read(name)) as stream:
                checked = check(stream, uri)
        url = presigned_url(folder, name, presign_hours).get_secret_value()
        return Data(url, "s3", _identity(uri, checked), checked)
    return _from_file(uri, check, only_look)


def _from_file(uri: str, check: Check | None, only_look: bool) -> Data:
    is_url = uri.startswith("file://")
    path = Path(url2pathname(uri.removeprefix("file://")) if is_url else at_home(uri))
    if not path.is_file():
        raise ValueError(
            f"--data {uri}: no such file: give s3://BUCKET/KEY, an https URL, hf://OWNER/NAME or "
            "a file"
        )
    if not only_look:
        raise ValueError(
            f"--data {uri}: the platform cannot read this machine: clutch publish {uri} "
            "s3://BUCKET/KEY, and give that"
        )
    checked = None
    if check is not None:
        with path.open("rb") as stream:
            checked = check(stream, str(path))
    return Data(str(path), "s3", _identity(uri, checked), checked)


def _from_url(url: str, check: Check | None) -> Data:
    """A URL that the platform reads as it is; its query may be a signature, and is not shown."""
    plain = _without_query(url)
    checked = None
    if check is not None:
        with _opened(url, plain) as response:
            if _is_json(plain, response):
                checked = check(_Body(response), plain)
    return Data(url, "s3", _identity(plain, checked), checked)


def _without_query(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("--data is no URL that can be read") from None
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("--data is a URL without a host, or with a user or password")
    return parts._replace(query="", fragment="").geturl()


def _is_json(plain: str, response: httpx2.Response) -> bool:
    return plain.endswith(".json") or "json" in response.headers.get("content-type", "")


@contextmanager
def _opened(url: str, plain: str) -> Iterator[httpx2.Response]:
    """Read a URL as the platform will: a signature for GET holds for nothing else, as HEAD."""
    headers = {"Accept-Encoding": "identity"}
    with httpx2.Client(timeout=READ_TIMEOUT_S, follow_redirects=True, headers=headers) as client:
        try:
            with client.stream("GET", url) as response:
                _check_head(response, plain)
                yield response
        except httpx2.RequestError as error:
            raise ValueError(
                f"--data {plain} cannot be read from here ({type(error).__name__}): "
                "--unchecked sends it without a look"
            ) from None


def _check_head(response: httpx2.Response, plain: str) -> None:
    if response.status_code != 200:
        raise ValueError(
            f"--data {plain} answers HTTP {response.status_code}: the platform could not read it "
            "either; has its signature expired?"
        )
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > MAX_BYTES:
        raise ValueError(
            f"--data {plain} is over {MAX_BYTES:,} bytes ({int(length):,}): the platform refuses it"
        )


class _Body:
    """The body of a response as a stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self._parts, self._left = response.iter_bytes(), b""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if not self._left:
            self._left = next(self._parts, b"")
        data, self._left = self._left[:size], self._left[size:]
        return data

    def close(self) -> None:
        """The response is closed by whoever opened it."""


def _identity(place: str, checked: Checked | None) -> str:
    return place if checked is None else f"sha256:{checked.sha256}"
