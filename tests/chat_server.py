"""A small OpenAI-compatible server on the loopback, which answers as a test's script says."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving

KEY = "sk-test-0123456789abcdef"


@dataclass(frozen=True)
class Answer:
    """What the server sends; `cut` closes the connection after so many bytes of the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: int | None = None
    drip_s: float = 0.0
    """Seconds between two bytes."""


@dataclass(frozen=True)
class Call:
    """What the server was sent: the request's JSON, and how often this prompt came before."""

    path: str
    authorization: str
    payload: dict[str, Any]
    repetition: int
    at: float

    @property
    def prompt(self) -> str:
        return self.payload["messages"][-1]["content"]


Script = Callable[[Call], Answer]


def said(text: str | None, **more: Any) -> Answer:
    """A chat completion with this text."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    body = {"id": "x", "object": "chat.completion", "choices": [choice], **more}
    return Answer(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def refused(status: int, message: str = "no", **headers: str) -> Answer:
    """An error in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "test"}}).encode()
    return Answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


class ChatServer(ThreadingHTTPServer):
    """Answers by its script and remembers the calls."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.calls: list[Call] = []
        self.most_at_a_time = 0
        self._now = 0
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def came(self, path: str, authorization: str, payload: dict[str, Any]) -> Call:
        with self._lock:
            same = [call for call in self.calls if call.payload == payload]
            call = Call(path, authorization, payload, len(same), time.monotonic())
            self.calls.append(call)
            self._now += 1
            self.most_at_a_time = max(self.most_at_a_time, self._now)
        return call

    def went(self) -> None:
        with self._lock:
            self._now -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests want."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        payload = json.loads(self.rfile.read(length))
        call = self.server.came(self.path, self.headers.get("Authorization", ""), payload)
        try:
            answer = self.server.script(call)
            time.sleep(answer.delay_s)
        finally:
            self.server.went()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        if answer.drip_s:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                time.sleep(answer.drip_s)
        else:
            self.wfile.write(answer.body[: answer.cut])
        self.close_connection = answer.cut is not None

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def chat_server(script: Script) -> AbstractContextManager[ChatServer]:
    """Serve a script until the block ends."""
    return serving(ChatServer(script))
