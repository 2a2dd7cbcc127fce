"""One HTTP exchange with a service, with a deadline, a bounded answer and a hidden key.

What a service sends is a stranger's: no more of it is read than a bound, and what is shown of it is
short, printable and without the key.
"""

import asyncio
import datetime
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx2
import stamina

from orchestrator.api_key import ApiKey

MAX_BODY_BYTES = 1 << 20
FIRST_CONTACT_S = 20.0
"""Longest time in which a service that never answered is tried again."""
CONNECT_S = 10.0
MAX_WAIT_S = 60.0
"""Longest wait before a repetition, whatever the service asks for."""
REFUSED = {401: "the key is refused", 402: "the account has no credit", 403: "the key is refused"}
BUSY = {408, 409, 425, 429}
"""Answers that a repetition may turn into a good one, as 500 and above."""


class CallFailed(Exception):
    """A request without a reply: the reason to count, and whether to send it again, and when.

    `sent` is False where the service cannot have seen the request.
    """

    def __init__(
        self,
        reason: str,
        what: str,
        *,
        again: bool = False,
        wait_s: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(what)
        self.reason = reason
        self.again = again
        self.wait_s = wait_s
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def open_client(key: ApiKey, max_connections: int = 1) -> httpx2.AsyncClient:
    """Return a client that sends the key with each request, and follows no redirect with it."""
    # The deadline is one for the whole exchange: a service that drips bytes meets it too.
    return httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {key.value}", "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        verify=_tls(),
        limits=httpx2.Limits(max_connections=max_connections),
    )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The trusted certificates, which take a while to load."""
    return httpx2.create_ssl_context()


async def exchange(
    client: httpx2.AsyncClient,
    key: ApiKey,
    request: httpx2.Request,
    limit_s: float,
    max_bytes: int = MAX_BODY_BYTES,
) -> Answer:
    """Send a request and return the answer, whatever its status; CallFailed where there is none."""
    try:
        async with asyncio.timeout(limit_s):
            response = await client.send(request, stream=True)
            try:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > max_bytes:
                        what = f"the answer is over {max_bytes:,} bytes"
                        raise CallFailed("too_long", what)
            finally:
                await response.aclose()
    except TimeoutError:
        what = f"no whole answer within timeout_s {limit_s:g}"
        raise CallFailed("timeout", what, again=True) from None
    except httpx2.RequestError as error:
        what = shown(str(error), key) or type(error).__name__
        sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise CallFailed("http_error", what, again=True, sent=sent) from None
    return Answer(response.status_code, response.headers, bytes(body))


def shown(text: str, key: ApiKey) -> str:
    """Return what of a stranger's text is shown: a short printable line without the key."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:4096]).split())
    return key.hidden_in(line)[:200]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, at most MAX_WAIT_S; None without.

    The header is a number of seconds or an HTTP date.
    """
    text = headers.get("retry-after", "").strip()
    try:
        if text.isascii() and text.isdigit():
            wait_s = float(text[:9])
        else:
            moment = parsedate_to_datetime(text)
            wait_s = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), MAX_WAIT_S)


def error_text(body: bytes) -> str:
    """Return what a service says of its refusal, in OpenAI's form or as plain text."""
    text = body[:4096].decode(errors="replace")
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return text
    for name in ("error", "message", "detail"):
        error = error.get(name, error) if isinstance(error, dict) else error
    return error if isinstance(error, str) else text


def repetitions(max_retries: int, retry_wait_s: float, is_reached: Callable[[], bool]) -> Any:
    """Return stamina's attempts at a request, for `for` and for `async for`.

    CallFailed repeats a request after the wait that the service asked for, else after one that
    doubles from `retry_wait_s`; the last attempt's is raised. A service that never answered is
    tried for `FIRST_CONTACT_S` seconds.
    """
    end = time.monotonic() + FIRST_CONTACT_S

    def wait_before_repetition(error: Exception) -> bool | float:
        if not isinstance(error, CallFailed) or not error.again:
            return False
        silent = not error.sent or error.reason == "timeout"
        if silent and not is_reached() and time.monotonic() > end:
            return False
        return True if error.wait_s is None else error.wait_s

    return stamina.retry_context(
        on=wait_before_repetition,
        attempts=1 + max_retries,
        timeout=None,
        wait_initial=retry_wait_s,
        wait_max=MAX_WAIT_S,
        wait_jitter=retry_wait_s,
    )
