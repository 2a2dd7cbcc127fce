"""Proxies between a client and a real server that do what networks and servers do.

`Cut` passes TCP and cuts connections after so many bytes; `Faults` passes HTTP and answers, drops
or interposes where it is told to.
"""

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

LINGER = struct.pack("ii", 1, 0)
"""Close with a reset, as a connection that is cut looks."""
SLOW_DOWN = (503, b"<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>")
BROKEN = (500, b"<Error><Code>InternalError</Code><Message>Sorry.</Message></Error>")


class Cut:
    """Cuts the first `times` connections that carry `after` bytes one way.

    With `hold` such a connection stands still until `go_on` is set, and is cut then.
    """

    def __init__(
        self,
        url: str,
        after: int,
        *,
        times: int = 10**6,
        downward: bool = False,
        hold: bool = False,
    ) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._after, self._left, self._downward = after, times, downward
        self._lock = threading.Lock()
        self.num_cut = 0
        self.go_on = threading.Event()
        if not hold:
            self.go_on.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, sink, counted in (
                    (client, server, not self._downward),
                    (server, client, self._downward),
                ):
                    arguments = (source, sink, counted)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                passed += len(data)
                if counted and passed > self._after and self._may_cut():
                    self.go_on.wait(30)
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                        end.shutdown(socket.SHUT_RDWR)
                    break
                sink.sendall(data)
        source.close()
        sink.close()

    def _may_cut(self) -> bool:
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            self.num_cut += 1
            return True


Reply = tuple[int, bytes]
Plan = Callable[[str, str], Reply | str | None]
"""Given method and path: an answer, "drop" (the server does it, the client hears nothing), None."""


class Faults:
    """Passes HTTP on, unless `plan` says otherwise; `after` runs once a request was done.

    `unknown` are beginnings of headers that are refused, as by an endpoint that knows them not.
    """

    def __init__(
        self,
        url: str,
        plan: Plan,
        after: Callable[[str, str], None] | None = None,
        unknown: tuple[str, ...] = (),
    ) -> None:
        parts = urlsplit(url)
        self.unknown, self.num_refused = unknown, 0
        self.requests: list[tuple[str, str]] = []

        class Handler(_Handler):
            target = (str(parts.hostname), int(parts.port or 80))
            faults = self

        self.plan, self.after = plan, after
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: ClassVar[tuple[str, int]]
    faults: ClassVar[Faults]

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.faults.requests.append((self.command, self.path))
        told = self._refusal() or self.faults.plan(self.command, self.path)
        if isinstance(told, tuple):
            self._answer(told[0], {"Content-Type": "application/xml"}, told[1])
            return
        status, headers, answer = self._forward(body)
        if self.faults.after is not None:
            self.faults.after(self.command, self.path)
        if told == "drop":
            self.close_connection = True
            return
        self._answer(status, headers, answer)

    def _refusal(self) -> Reply | None:
        names = [n.lower() for n in self.headers if n.lower().startswith(self.faults.unknown)]
        if not names or not self.faults.unknown:
            return None
        self.faults.num_refused += 1
        said = f"Unsupported header '{names[0]}' received for this API call."
        return 400, f"<Error><Code>InvalidArgument</Code><Message>{said}</Message></Error>".encode()

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.target, timeout=30)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        own = ("transfer-encoding", "connection", "content-length")
        for name, value in headers.items():
            if name.lower() not in own:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def cutting(
    url: str, after: int, *, times: int = 10**6, downward: bool = False, hold: bool = False
) -> Iterator[Cut]:
    """Run a `Cut` for a block."""
    proxy = Cut(url, after, times=times, downward=downward, hold=hold)
    try:
        yield proxy
    finally:
        proxy.close()


@contextlib.contextmanager
def faults(
    url: str,
    plan: Plan = lambda *_: None,
    after: Callable[[str, str], None] | None = None,
    unknown: tuple[str, ...] = (),
) -> Iterator[Faults]:
    """Run a `Faults` for a block."""
    proxy = Faults(url, plan, after, unknown)
    try:
        yield proxy
    finally:
        proxy.close()


def times(count: int, reply: Reply | str, where: Callable[[str, str], bool]) -> Plan:
    """A plan that does `reply` to the first `count` requests that `where` names."""
    lock, left = threading.Lock(), [count]

    def plan(method: str, path: str) -> Reply | str | None:
        with lock:
            if not where(method, path) or left[0] <= 0:
                return None
            left[0] -= 1
            return reply

    return plan
