"""Streams that notice when an object changes under them, and go on where a connection was cut."""

import hashlib
import io
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, HTTPClientError, IncompleteReadError

from orchestrator.storage.bucket import Bucket
from orchestrator.storage.errors import StorageChanged, StorageError

BUFFER_BYTES = 2**18
_CUT = (HTTPClientError, IncompleteReadError, OSError)


def buffered(raw: io.RawIOBase, uri: str, sha256: str | None) -> BinaryIO:
    """Return a stream of `raw` whose last read checks its bytes, if they are known."""
    checked = raw if sha256 is None else _Checked(raw, uri, sha256)
    return io.BufferedReader(checked, BUFFER_BYTES)


class _Checked(io.RawIOBase):
    """Passes bytes on, and compares their hash at the end."""

    def __init__(self, raw: io.RawIOBase, uri: str, sha256: str) -> None:
        self._raw, self._uri, self._expected = raw, uri, sha256
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer) or 0
        self._hash.update(memoryview(buffer)[:count])
        if count == 0 and len(buffer) and self._hash.hexdigest() != self._expected:
            raise StorageChanged(
                f"{self._uri} has sha256 {self._hash.hexdigest()}, expected {self._expected}: "
                "it was changed or damaged"
            )
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class ObjectReader(io.RawIOBase):
    """An object of a bucket, read from front to back; cut connections are resumed, bounded."""

    def __init__(
        self, bucket: Bucket, key: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Send the first request, so that a missing object is told here."""
        self._bucket, self._key, self._sleep = bucket, key, sleep
        self._position = 0
        self._failures = 0
        answer = bucket.call("get_object", key)
        self._etag, self._total = answer["ETag"], int(answer["ContentLength"])
        self._body = answer["Body"]

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end."""
        while True:
            try:
                data = self._body.read(len(buffer))
            except _CUT as error:
                self._resume(error)
                continue
            self._position += len(data)
            if data:
                self._failures = 0
            elif self._position < self._total:
                self._resume(IncompleteReadError(actual_bytes=0, expected_bytes=self._total))
                continue
            buffer[: len(data)] = data
            return len(data)

    def close(self) -> None:
        """Give the connection back."""
        if not self.closed:
            self._body.close()
        super().close()

    def _resume(self, error: BotoCoreError | OSError) -> None:
        """Ask again for what is left, of the same version of the object only."""
        self._body.close()
        self._failures += 1
        uri = self._bucket.uri(self._key)
        if self._failures >= self._bucket.settings.max_attempts:
            raise StorageError(
                f"the connection to {self._bucket.settings.shown_endpoint} was cut "
                f"{self._failures} times at byte {self._position} of {uri}: try again"
            ) from None
        self._sleep(min(0.05 * 2**self._failures, 5.0))
        answer = self._bucket.call(
            "get_object", self._key, Range=f"bytes={self._position}-", IfMatch=self._etag
        )
        expected = f"bytes {self._position}-{self._total - 1}/{self._total}"
        # An endpoint may not know If-Match, or Range.
        if answer["ETag"] != self._etag or answer.get("ContentRange") != expected:
            answer["Body"].close()
            raise StorageChanged(f"{uri} has changed while it was read: start again")
        self._body = answer["Body"]
