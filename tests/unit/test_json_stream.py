"""JSON arrays read item by item: the same items as at once, in bounded memory, faults by name."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.evaluations import json_stream
from datagen.evaluations.json_stream import BrokenJson, array_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Dripping(io.BytesIO):
    """A stream that returns few bytes at a time, as sockets may."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self._size, size or self._size))


@given(st.lists(VALUES, max_size=8), st.integers(1, 64), st.sampled_from([None, 2]))
def test_items_are_those_of_the_array(items, size, indent):
    data = json.dumps(items, ensure_ascii=False, indent=indent).encode()
    assert list(array_items(Dripping(data, size))) == items


@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_a_cut_array_yields_whole_items_only_and_never_looks_whole(items, data):
    whole = json.dumps(items).encode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    seen = []
    with pytest.raises(BrokenJson):
        seen.extend(array_items(io.BytesIO(cut)))
    assert seen == items[: len(seen)]


@pytest.mark.parametrize(
    ("data", "items", "reason"),
    [
        (b"", [], "empty"),
        (b" \n\t ", [], "empty"),
        (b"oops", [], "not JSON"),
        (b"<html></html>", [], "not JSON"),
        (b"\xef\xbb\xbf[1]", [], "not JSON"),
        (b'{"a": [1]}', [], "not a JSON array"),
        (b"17", [], "not a JSON array"),
        (b'"text"', [], "not a JSON array"),
        (b"null", [], "not a JSON array"),
        (b"[", [], "truncated"),
        (b"[1, 2", [1], "truncated"),
        (b"[1, 2 ", [1], "truncated"),
        (b"[1, 2,", [1, 2], "truncated"),
        (b'[{"a": 1}, {"a":', [{"a": 1}], "truncated"),
        (b'[1, "\xc3', [1], "truncated"),
        (b'["\xff"]', [], "not UTF-8"),
        (b'[1, "\xff", 2]', [1], "not UTF-8"),
        (b"[1] \xff", [1], "text after the array"),
        (b"\xff[1]", [], "not UTF-8"),
        (b"[1 2]", [], "not JSON"),
        (b"[1, 2.", [1], "truncated"),
        (b"[1, 2e]", [1], "not JSON"),
        (b"[1, -]", [1], "not JSON"),
        (b"[1, oops]", [1], "not JSON"),
        (b"[1,]", [1], "not JSON"),
        (b"[1] 2", [1], "text after the array"),
        (b"[][]", [], "text after the array"),
        (b"[" * 1_000_000, [], "nested too deeply"),
        (b'{"a":' * 1_000_000, [], "not a JSON array"),
        (b'[1,{"a":' + b'[{"a":' * 500_000, [1], "nested too deeply"),
        (b"[1," + b"9" * 5000 + b"]", [1], "not JSON"),
        (b'[1, "' + b"a" * 17_000_000 + b'", 2]', [1], "item over 16 MiB"),
        (b'[1, "' + b"a" * 40_000_000, [1], "item over 16 MiB"),
    ],
)
def test_faults_are_named_after_the_items_before_them(data, items, reason):
    seen = []
    with pytest.raises(BrokenJson) as caught:
        seen.extend(array_items(io.BytesIO(data)))
    assert seen == items
    assert caught.value.reason == reason


@pytest.mark.parametrize("cut", range(1, 30))
def test_an_item_across_two_reads_is_whole(cut, monkeypatch):
    monkeypatch.setattr(json_stream, "READ_BYTES", cut)
    data = '[12.5e+3, -7, "é\\"]", {"a": [true, null]}, 1]'.encode()
    assert list(array_items(Dripping(data, cut))) == json.loads(data)


def test_a_string_of_10_mb_is_read_with_what_follows():
    long = "é" * 5_000_000
    data = json.dumps([1, long, 2], ensure_ascii=False).encode()
    assert list(array_items(Dripping(data, 10_000))) == [1, long, 2]


def test_memory_is_bounded_by_an_item_and_not_by_the_array():
    item = json.dumps({"text": "x" * 2000}).encode()

    class Endless(io.RawIOBase):
        left = 40_000

        def read(self, size=-1):
            if not self.left:
                return b""
            self.left -= 1
            return (b"[" if self.left == 39_999 else b",") + item + (b"]" if not self.left else b"")

    tracemalloc.start()
    try:
        assert sum(1 for _ in array_items(Endless())) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000  # of 80 MB
    finally:
        tracemalloc.stop()
