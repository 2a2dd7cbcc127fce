"""One question to an OpenAI-compatible API, over HTTP."""

import json
from types import TracebackType
from typing import Any, Self

from datagen.proposal_config import ProposalsConfig
from orchestrator.api_key import ApiKey
from orchestrator.exchange import (
    BUSY,
    REFUSED,
    Answer,
    CallFailed,
    error_text,
    exchange,
    open_client,
    retry_after_s,
    shown,
)
from reward_fns.answers import completion_text


class ChatClient:
    """Connections to one API; an async context manager."""

    def __init__(self, config: ProposalsConfig, key: ApiKey) -> None:
        self.config = config
        self.key = key
        self._client = open_client(key, config.concurrency)

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
        url = f"{self.config.base_url}/chat/completions"
        request = self._client.build_request("POST", url, json=self._payload(prompt))
        answer = await exchange(self._client, self.key, request, self.config.timeout_s)
        if answer.status != 200:
            raise self._refusal(answer)
        return _reply_text(answer.body)

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

    def _refusal(self, answer: Answer) -> Exception:
        """The error that an HTTP status other than 200 means."""
        config, status = self.config, answer.status
        if status in REFUSED:
            return ValueError(
                f"{config.base_url} answers HTTP {status}: {REFUSED[status]}; "
                f"check {self.key.variable}"
            )
        said = shown(error_text(answer.body), self.key)
        if status in (404, 405) or status < 400:
            return ValueError(
                f"{config.base_url} answers HTTP {status}{said and f' ({said})'}: check base_url "
                f"and model {config.model!r}"
            )
        what = f"HTTP {status}{said and f': {said}'}"
        again = status in BUSY or status >= 500
        return CallFailed("http_error", what, again=again, wait_s=retry_after_s(answer.headers))


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
