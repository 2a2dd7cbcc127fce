"""An HTTP server of the standard library, in a thread of the tests'."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from typing import TypeVar

AServer = TypeVar("AServer", bound=BaseServer)


@contextmanager
def serving(server: AServer) -> Iterator[AServer]:
    """Serve until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
