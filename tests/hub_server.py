"""A server on the loopback that answers for models on the Hub, and has trouble with some names."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from tests.serving import serving

TROUBLE = {
    "org/gone": (404, {"X-Error-Code": "RepoNotFound"}),
    "org/private": (401, {}),
    "org/gated": (403, {"X-Error-Code": "GatedRepo"}),
    "org/branch": (404, {"X-Error-Code": "RevisionNotFound"}),
    "org/data": (404, {"X-Error-Code": "EntryNotFound"}),
    "org/busy": (503, {}),
    "org/circle": (302, {"Location": "/org/circle/resolve/r1/config.json"}),
}
THERE = (200, {"ETag": '"1"', "X-Repo-Commit": "0" * 40})


class Hub(BaseHTTPRequestHandler):
    """Answers HEAD /OWNER/NAME/resolve/REVISION/config.json as the Hub does."""

    def do_HEAD(self) -> None:
        name = "/".join(self.path.split("/")[1:3])
        if name == "org/silent":
            time.sleep(5)
        status, headers = TROUBLE.get(name, THERE)
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def hub() -> Iterator[str]:
    """The server, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


def set_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What HF_ENDPOINT does where the library is loaded."""
    path = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + path)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub_there(hub: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address, which models on the Hub are looked for at."""
    set_endpoint(monkeypatch, hub)
    return hub
