"""Reads a JSON array item by item, in memory that one item bounds and not the array.

Each item is decoded by the standard library from a buffer that is filled, twice as much each time,
until the item is whole. That is as fast as decoding the array at once, refuses nesting bombs at the
decoder's own limit, and keeps every character as it was.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from datagen.binary import HEAD_BYTES, binary_kind
from datagen.evaluations.source import Stream

READ_BYTES = 1 << 16
MAX_ITEM_CHARS = 16 << 20
"""An item longer than this ends the reading of its array."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class BrokenJson(ValueError):
    """An array that cannot be read further; `reason` is short and the same for alike faults."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def array_items(stream: Stream) -> Iterator[Any]:
    """Yield the items of a JSON array as soon as each is whole.

    Raises BrokenJson where it ends too early (`truncated`), is no array (`not a JSON array`), no
    JSON (`not JSON`, `not UTF-8`, `a gzip file` and the like, `nested too deeply`), or holds an
    item over MAX_ITEM_CHARS (`item over 16 MiB`). Items before that point have been yielded.
    """
    buffer = _Buffer(stream)
    first = buffer.next_char()
    if first != "[":
        raise BrokenJson(buffer.fault or _wrong_start(first))
    buffer.skip()
    more = buffer.next_char() != "]"
    while more:
        yield buffer.item()
        if more := buffer.next_char() == ",":
            buffer.skip()
    buffer.skip()
    buffer.check_end()


def _wrong_start(first: str) -> str:
    if not first:
        return "empty"
    return "not a JSON array" if first in '{"-0123456789tfn' else "not JSON"


class _Buffer:
    """What of the stream was read and not yet used."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at, self._begun, self._ended = "", 0, False, False
        self.fault: str | None = None
        """Why no more characters can be read, where it is not the end."""

    def next_char(self) -> str:
        """The next character that is no blank, which stays; "" at the end."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill(READ_BYTES):
                return ""

    def skip(self) -> None:
        """Pass the character that `next_char` returned."""
        self._at += 1

    def item(self) -> Any:
        """Decode the next item, once the comma or bracket behind it has been read too.

        Without that, the beginning of a number would be taken for all of it.
        """
        self.next_char()
        size = READ_BYTES
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                behind = _BLANKS.match(self._text, end).end()  # type: ignore[union-attr]
                if self._text[behind : behind + 1] in (",", "]"):
                    self._at = behind
                    return value
            except RecursionError:
                raise BrokenJson("nested too deeply") from None
            except ValueError:
                pass
            room = MAX_ITEM_CHARS - (len(self._text) - self._at)
            if room <= 0:
                raise BrokenJson("item over 16 MiB")
            if not self._fill(min(size, room)):
                # Where the text goes on to the array's end, nothing was cut off.
                whole = self._text.rstrip().endswith("]")
                raise BrokenJson(self.fault or ("not JSON" if whole else "truncated"))
            size *= 2

    def check_end(self) -> None:
        """Check that nothing follows the array."""
        if self.next_char() or self.fault:
            raise BrokenJson("text after the array")

    def _fill(self, size: int) -> bool:
        """Read `size` more bytes, fewer at the end; False where nothing is left."""
        data = b""
        while len(data) < size and not self._ended:
            more = self._stream.read(size - len(data))
            self._ended = not more
            data += more
        if not self._begun and (kind := binary_kind(data[:HEAD_BYTES])) is not None:
            self.fault, self._ended, data = kind, True, b""
        self._begun = True
        try:
            text = self._decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            text = error.object[: error.start].decode()
            cut = self._ended and error.reason == "unexpected end of data"
            self.fault, self._ended = "truncated" if cut else "not UTF-8", True
            self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at = self._text[self._at :] + text, 0
        return bool(text) or not self._ended
