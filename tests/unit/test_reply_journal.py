"""The journal of paid replies: torn, broken, shared, and gone on with."""

import json
from pathlib import Path

import pytest

from datagen.replies import Reply
from orchestrator.reply_journal import ReplyJournal, reply_key


def filled(path: Path, count: int) -> Path:
    with ReplyJournal(path) as journal:
        for i in range(count):
            journal.add(f"key{i}", Reply(f"text {i}"), model="m")
    return path


def test_replies_and_failures_come_back(tmp_path: Path) -> None:
    path = filled(tmp_path / "new" / "journal", 3)
    with ReplyJournal(path) as journal:
        journal.add("bad", Reply(None, "timeout"))
        assert journal.find("key1") == Reply("text 1")
        assert journal.find("bad") == Reply(None, "timeout")
        assert journal.find("other") is None
        assert len(journal) == 4


@pytest.mark.parametrize("num_bytes", [1, 10, 30])
def test_a_torn_last_line_is_cut_away_and_the_next_is_whole(num_bytes: int, tmp_path: Path) -> None:
    path = filled(tmp_path / "journal", 3)
    path.write_bytes(path.read_bytes()[:-num_bytes])
    with ReplyJournal(path) as journal:
        assert len(journal) == 2
        journal.add("key9", Reply("text 9"))
        assert journal.find("key9") == Reply("text 9")
    with ReplyJournal(path) as journal:
        assert journal.find("key1") == Reply("text 1")
        assert journal.find("key9") == Reply("text 9")
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", "{}", '{"key": 1, "text": "a"}', '{"key": "a"}', "", "[" * 100_000,
     '{"key": "a", "text": null, "failure": null}', '{"key": "a", "text": "b", "failure": "c"}'],
)  # fmt: skip
def test_a_line_that_is_no_reply_is_named(line: str, tmp_path: Path) -> None:
    path = filled(tmp_path / "journal", 1)
    with path.open("a") as file:
        file.write(line + "\n")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"journal:2 is no reply: remove the line"):
        ReplyJournal(path).__enter__()
    assert path.read_bytes() == before


def test_one_process_at_a_time_holds_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal", 1)
    with ReplyJournal(path), pytest.raises(ValueError, match="is in use"):
        ReplyJournal(path).__enter__()
    with ReplyJournal(path) as journal:
        assert len(journal) == 1


def test_nothing_kept_leaves_no_file(tmp_path: Path) -> None:
    with ReplyJournal(tmp_path / "journal"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_keys_differ_by_all_that_is_asked() -> None:
    asked = ("m", "prompt", 0, 0.5, 100)
    others = [("n", *asked[1:]), ("m", "other", 0, 0.5, 100), ("m", "prompt", 1, 0.5, 100)]
    others += [("m", "prompt", 0, None, 100), ("m", "prompt", 0, 0.5, 99)]
    assert len({reply_key(*one) for one in [asked, *others]}) == 6
    assert reply_key(*asked) == reply_key(*json.loads(json.dumps(asked)))


def test_no_flipped_bit_of_a_reply_is_believed(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal", 1)
    whole = path.read_bytes()
    for offset in range(len(whole) - 1):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        try:
            with ReplyJournal(path) as journal:
                assert journal.find("key0") == Reply("text 0")  # the name of the hash was hit
        except ValueError as error:
            assert "journal:1 " in str(error) and "remove the line" in str(error)


def test_lines_of_an_earlier_version_carry_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"key":"key0","text":"text 0"}\n')
    with ReplyJournal(path) as journal:
        assert journal.find("key0") == Reply("text 0")
