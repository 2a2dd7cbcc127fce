"""One question to an OpenAI-compatible API, over HTTP, with a deadline and a bounded answer.

What the service sends is a stranger's: no more of it is read than `MAX_BODY_BYTES`, and what is
shown of it is short, printable and without the key.
"""

import asyncio
import datetime
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx2

from datagen.proposal_config import ProposalsConfig
from orchestrator.api_key import ApiKey
from reward_fns.answers import completion_text

MAX_BODY_BYTES = 1 << 20
MAX_WAIT_S = 60.0
"""Longest wait before a repetition, whatever the service asks for."""
REFUSED = {401: "the key is refused", 402: "the account has no credit", 403: "the key is refused"}
BUSY = {408, 409, 425, 429}
"""Answers that a repetition may turn into a good one, as 500 and above."""


class CallFailed(Exception):
    """A request without a reply: the reason to count, and whether to send it again, and when."""

    def __init__(
        self, reason: str, what: str, *, again: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(what)
        self.reason = reason
        self.again = again
        self.wait_s = wait_s


class ChatClient:
    """Connections to one API; an async context manager."""

    def __init__(self, config: ProposalsConfig, key: ApiKey) -> None:
        self.config = config
        self.key = key
        # The deadline is one for the whole exchange: a service that drips bytes meets it too.
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key.value}", "Accept-Encoding": "identity"},
            timeout=None,
            limits=httpx2.Limits(max_connections=config.concurrency),
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def complete(self, prompt: str) -> str:
        """Return the text of the reply to a prompt.

        Raises CallFailed where there is none, and ValueError where none will ever come: a key
        that is refused, an address or a model that is not there.
        """
        limit_s = self.config.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                status, headers, body = await self._post(prompt)
        except TimeoutError:
            what = f"no whole answer within timeout_s {limit_s:g}"
            raise CallFailed("timeout", what, again=True) from None
        except httpx2.RequestError as error:
            what = self._shown(str(error)) or type(error).__name__
            raise CallFailed("http_error", what, again=True) from None
        if status != 200:
            raise self._refusal(status, headers, body)
        return _reply_text(body)

    async def _post(self, prompt: str) -> tuple[int, Mapping[str, str], bytes]:
        url = f"{self.config.base_url}/chat/completions"
        async with self._client.stream("POST", url, json=self._payload(prompt)) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    what = f"the answer is over {MAX_BODY_BYTES:,} bytes"
                    raise CallFailed("too_long", what)
            return response.status_code, response.headers, bytes(body)

    def _payload(self, prompt: str) -> dict[str, Any]:
        config = self.config
        # OpenAI's newer models refuse the old name of the limit, which the others know.
        at_openai = config.base_url.startswith("https://api.openai.com/")
        payload: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_completion_tokens" if at_openai else "max_tokens": config.max_tokens,
        }
        if config.temperature is not None:
            payload["temperature"] = config.temperature
        return payload

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception:
        """The error that an HTTP status other than 200 means."""
        config = self.config
        if status in REFUSED:
            return ValueError(
                f"{config.base_url} answers HTTP {status}: {REFUSED[status]}; "
                f"check {self.key.variable}"
            )
        said = self._shown(_error_text(body))
        if status in (404, 405) or status < 400:
            return ValueError(
                f"{config.base_url} answers HTTP {status}{said and f' ({said})'}: check base_url "
                f"and model {config.model!r}"
            )
        what = f"HTTP {status}{said and f': {said}'}"
        again = status in BUSY or status >= 500
        return CallFailed("http_error", what, again=again, wait_s=retry_after_s(headers))

    def _shown(self, text: str) -> str:
        line = " ".join("".join(c if c.isprintable() else " " for c in text[:4096]).split())
        return self.key.hidden_in(line)[:200]


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


def _reply_text(body: bytes) -> str:
    """The text of a chat completion; CallFailed where it is none."""
    try:
        message = json.loads(body)["choices"][0]["message"]
    except (ValueError, RecursionError):
        raise CallFailed("malformed", "the answer is not JSON") from None
    except (LookupError, TypeError):
        raise CallFailed("malformed", "the answer has no choices with a message") from None
    if not isinstance(message, dict) or "content" not in message:
        raise CallFailed("malformed", "the answer's message has no content")
    # A model that only thought until it met its limit has no content: an empty reply, paid for.
    return completion_text([message])


def _error_text(body: bytes) -> str:
    """What the service says of its refusal, in OpenAI's form or as plain text."""
    text = body[:4096].decode(errors="replace")
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return text
    for name in ("error", "message", "detail"):
        error = error.get(name, error) if isinstance(error, dict) else error
    return error if isinstance(error, str) else text
