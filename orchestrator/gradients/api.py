"""Requests to the API, one at a time: read, repeated where that is safe, and told in one line.

What only reads is repeated as it is. What creates is not: `create` asks whoever calls it to look
for what a request of unknown outcome may have made.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from orchestrator.api_key import ApiKey
from orchestrator.exchange import (
    BUSY,
    REFUSED,
    Answer,
    CallFailed,
    error_text,
    exchange,
    open_client,
    repetitions,
    retry_after_s,
    shown,
)
from orchestrator.gradients.settings import ApiSettings

MAX_ANSWER_BYTES = 64 << 20
"""A page of tasks holds the sources of their reward functions."""
FIRST_LOOK_S = 0.5
"""Seconds between the first two looks for what a create made; doubled each time."""
Read = TypeVar("Read")
Made = TypeVar("Made")
Taken = Literal["not taken", "given up", "perhaps at work"]
NOT_TAKEN: Taken = "not taken"
GIVEN_UP: Taken = "given up"
AT_WORK: Taken = "perhaps at work"
"""What a service has done with a request that has no good answer."""


class ApiFailed(OSError):
    """The API did not do what it was asked, for no fault of the request's."""


class Unclear(ApiFailed):
    """Nobody knows whether a create did its work."""


class NotThere(ValueError):
    """The API knows no such thing."""


class _Failed(CallFailed):
    """A request without a good answer, and what the service has done with it."""

    def __init__(self, failure: CallFailed, taken: Taken) -> None:
        again, wait_s, sent = failure.again, failure.wait_s, failure.sent
        super().__init__(failure.reason, str(failure), again=again, wait_s=wait_s, sent=sent)
        self.taken = taken


class Api:
    """The API at an address, with a key."""

    def __init__(self, settings: ApiSettings, key: ApiKey) -> None:
        self.settings = settings
        self.key = key
        self._is_reached = False

    def get(self, kind: type[Read], path: str, query: Mapping[str, int] | None = None) -> Read:
        """Return what a GET answers, repeated while the service is busy or fails."""

        def attempt() -> Read:
            return self.read(kind, self.once("GET", path, query=query))

        return self._repeated(attempt, "GET", path)

    def delete(self, path: str) -> bool:
        """DELETE, with repetitions; False if there was nothing (any more)."""
        return self._repeated(lambda: self._deleted(path), "DELETE", path)

    def create(
        self, path: str, payload: dict[str, Any], read: Callable[[bytes], Made],
        find: Callable[[], Made | None],
    ) -> Made:  # fmt: skip
        """POST, so that one thing is made at most, and return it.

        A request that the service cannot have taken (no connection, 429) is repeated. After any
        other failure `find` looks for what it may have made, for `settle_s` seconds: what it finds
        is the answer. If there is nothing, a request that the service has given up (5xx, a cut
        connection) is repeated; one that it may still be at work on (a time-out, 504) is not:
        Unclear, as where `find` fails.
        """

        def attempt() -> Made:
            try:
                answer = self.once("POST", path, payload)
            except _Failed as failure:
                if failure.taken == NOT_TAKEN:
                    raise
                return self._settled(failure, find)
            return self._made(answer, read, find)

        return self._repeated(attempt, "POST", path)

    def once(
        self, method: str, path: str, payload: Any = None, query: Mapping[str, int] | None = None
    ) -> bytes:
        """Send one request and return the body of its answer.

        Raises ValueError for what the service refuses, _Failed for anything else.
        """
        try:
            answer = asyncio.run(self._exchange(method, path, payload, query))
        except CallFailed as failure:
            taken = NOT_TAKEN if not failure.sent else GIVEN_UP
            raise _Failed(failure, AT_WORK if failure.reason == "timeout" else taken) from None
        self._is_reached = True
        if answer.status not in (200, 201, 202, 204):
            raise self._refusal(answer, path)
        return answer.body

    def read(self, kind: type[Read], body: bytes) -> Read:
        """Return an answer as the type that it is to be of."""
        try:
            return TypeAdapter(kind).validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            raise ApiFailed(
                f"{self.settings.base_url} answers what is not understood: {place}: "
                f"{first['msg'][:200]}"
            ) from None

    async def _exchange(
        self, method: str, path: str, payload: Any, query: Mapping[str, int] | None
    ) -> Answer:
        async with open_client(self.key) as client:
            url = f"{self.settings.base_url}{path}"
            request = client.build_request(method, url, json=payload, params=query)
            limit_s = self.settings.timeout_s
            return await exchange(client, self.key, request, limit_s, MAX_ANSWER_BYTES)

    def _refusal(self, answer: Answer, path: str) -> Exception:
        """The error that an HTTP status means."""
        url, status = self.settings.base_url, answer.status
        said = shown(_said(answer.body), self.key)
        told = f"{url} answers HTTP {status}"
        if status in REFUSED:
            return ValueError(f"{told}: {REFUSED[status]}; check {self.key.variable}")
        if status == 404:
            return NotThere(f"{told} to {path}{said and f': {said}'}")
        if status in BUSY or status >= 500:
            wait_s = retry_after_s(answer.headers)
            failure = CallFailed(
                "http_error", f"HTTP {status}{said and f': {said}'}", again=True, wait_s=wait_s
            )
            taken = {429: NOT_TAKEN, 408: AT_WORK, 504: AT_WORK}.get(status, GIVEN_UP)
            return _Failed(failure, taken)
        if status < 400:
            return ValueError(f"{told}, which is not followed with a key: check base_url")
        return ValueError(f"{told}: {said or 'the request is refused'}")

    def _deleted(self, path: str) -> bool:
        try:
            body = self.once("DELETE", path)
        except NotThere:
            return False
        if body.lstrip().startswith(b"<"):
            raise ApiFailed(f"{self.settings.base_url} answers with a web page: check base_url")
        return True

    def _made(
        self, answer: bytes, read: Callable[[bytes], Made], find: Callable[[], Made | None]
    ) -> Made:
        """What a create has made, looked for if its answer cannot be read."""
        try:
            return read(answer)
        except ApiFailed as error:
            failure = CallFailed("malformed", str(error), again=False)
            return self._settled(_Failed(failure, AT_WORK), find)

    def _settled(self, failure: "_Failed", find: Callable[[], Made | None]) -> Made:
        """What a failed request made after all; raises if there is nothing."""
        url = self.settings.base_url
        try:
            for _ in _until(self.settings.settle_s):
                if (made := find()) is not None:
                    return made
        except (ApiFailed, ValueError) as error:
            raise Unclear(
                f"{url}: {failure}; whether it did its work cannot be seen ({error}): the same "
                "command looks first and sends nothing twice"
            ) from None
        if failure.taken == AT_WORK:
            raise Unclear(
                f"{url}: {failure}; it made nothing within {self.settings.settle_s:g} s, and may "
                "still do: the same command, later, looks first and sends nothing twice"
            )
        raise failure

    def _repeated(self, attempt: Callable[[], Made], method: str, path: str) -> Made:
        settings = self.settings
        try:
            limits = settings.max_retries, settings.retry_wait_s
            for each in repetitions(*limits, lambda: self._is_reached):
                with each:
                    return attempt()
        except CallFailed as failure:
            tried = f" ({1 + settings.max_retries} times)" if failure.again else ""
            raise ApiFailed(
                f"{settings.base_url}: {method} {path} fails{tried}: {failure}"
            ) from None
        raise AssertionError("a failed last attempt raises")


def _until(seconds: float) -> Iterator[None]:
    """Yield at once, and then after growing pauses until the seconds are over."""
    end, pause = time.monotonic() + seconds, FIRST_LOOK_S
    yield
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause *= 2
        yield


def _said(body: bytes) -> str:
    """What the service says of a refusal: of each field, where it names them."""
    try:
        detail = json.loads(body)["detail"]
        return "; ".join(f"{'.'.join(map(str, part['loc'][1:]))}: {part['msg']}" for part in detail)
    except (ValueError, LookupError, TypeError, RecursionError):
        return error_text(body)
