"""A server on the loopback that answers as no service of ours does; a path begins with how."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LONG = 200_000


def _reply(status: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _whole(status: str, kind: str, body: bytes) -> bytes:
    return _reply(status, {"Content-Type": kind, "Content-Length": str(len(body))}, body)


def _redirect(status: str, place: str) -> bytes:
    return _reply(status, {"Location": place, "Content-Length": "0"})


ANSWERS: dict[str, bytes] = {
    "page": _whole("200 OK", "text/html", b"<html>Welcome to nginx!</html>"),
    "page-404": _whole("404 Not Found", "text/html", b"<html>Not Found</html>"),
    "page-400": _whole("400 Bad Request", "text/html", b"<html>Bad Request</html>"),
    "json": _whole("200 OK", "application/json", b'{"a": 1}'),
    "deep-json": _whole("200 OK", "application/json", b"[" * _LONG),
    "deep-xml": _whole("200 OK", "application/xml", b"<a>" * 10_000),
    "nothing": _reply("204 No Content", {}),
    "truncated": _reply("200 OK", {"Content-Length": "1000"}, b'{"a":'),
    "closed": b"",
    "ssh": b"SSH-2.0-OpenSSH_9.7\r\n\x00\xff" * 9,
    "no-status": b"HTTP/1.1 abc OK\r\n\r\n",
    "no-length": _reply("200 OK", {"Content-Length": "abc"}, b"xx"),
    "no-gzip": _reply("200 OK", {"Content-Encoding": "gzip", "Content-Length": "4"}, b"gzip"),
    "no-chunk": _reply("200 OK", {"Transfer-Encoding": "chunked"}, b"zz\r\nhello"),
    "many-headers": _reply("200 OK", {f"X-{n}": "y" for n in range(5000)}),
    "long-header": _reply("200 OK", {"X": "y" * 1_000_000}),
}
REDIRECTS = {"301": "301 Moved", "302": "302 Found", "307": "307 Temporary", "308": "308 Permanent"}
KINDS = (*ANSWERS, *REDIRECTS)


class ForeignServer:
    """The server; `num_requests` counts what it was asked."""

    def __init__(self) -> None:
        self.num_requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head = self._read(client)
            if not head:
                return  # only whether somebody listens was asked
            self.num_requests += 1
            path = head.split(b" ")[1].decode()
            kind = path.split("/")[1].split("?")[0]
            if kind == "silent":
                time.sleep(60)
                return
            redirect = REDIRECTS.get(kind)
            client.sendall(
                ANSWERS[kind] if redirect is None else _redirect(redirect, self.url + path)
            )

    def _read(self, client: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(2**16) or b"\r\n\r\n"
        head, _, body = data.partition(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        while length and len(body) < int(length[1]):
            body += client.recv(2**16)
        return head


@contextmanager
def foreign_server() -> Iterator[ForeignServer]:
    """Run a server for a block."""
    server = ForeignServer()
    try:
        yield server
    finally:
        server.close()
