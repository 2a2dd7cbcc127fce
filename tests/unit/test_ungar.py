"""The high card duel, and traces on disk."""

import json
from collections import Counter

import pytest

from datagen.manifest import file_sha256
from datagen.trace_files import (
    MAX_LINE_BYTES,
    TRACES_FILE,
    read_traces,
    write_traces,
    write_traces_folder,
)
from datagen.ungar import DECK, RANKS, duel, make_trace, make_traces
from tests.export_rows import trace_row
from tests.registry_sources import NOW


def test_the_deck_has_each_card_once():
    assert len(set(DECK)) == 52
    assert Counter(card[0] for card in DECK) == dict.fromkeys("23456789TJQKA", 4)
    assert Counter(card[1] for card in DECK) == dict.fromkeys("SHDC", 13)


@pytest.mark.parametrize(
    ("mine", "other", "result"),
    [
        ("AS", "KS", "win"),
        ("2S", "AH", "loss"),
        ("TD", "9C", "win"),
        ("TD", "JC", "loss"),
        ("QS", "QH", "tie"),
    ],
)
def test_ace_is_high_ten_is_t_and_suits_tie(mine, other, result):
    assert duel(mine, other) == result


def test_a_trace_has_the_steps_and_the_meta_of_the_game():
    trace = make_trace(42, 3)
    assert [step.type for step in trace.steps] == [
        "legal_moves", "observation", "unseen", "decision",
    ]  # fmt: skip
    assert trace.steps[1].content == f"My hand: {trace.meta['my_card']}"
    assert "51" in trace.steps[2].content
    assert trace.final_answer == "reveal"
    assert set(trace.meta) == {
        "source", "game", "episode_index", "my_card", "opponent_card", "result", "seed",
    }  # fmt: skip
    assert trace.meta["my_card"] != trace.meta["opponent_card"]
    assert trace.meta["result"] == duel(trace.meta["my_card"], trace.meta["opponent_card"])
    assert (trace.meta["source"], trace.meta["game"]) == ("ungar", "high_card_duel")


def test_an_episode_depends_on_its_seed_and_index_alone():
    assert list(make_traces(5, 1)) == list(make_traces(9, 1))[:5]
    assert make_trace(1, 0) != make_trace(2, 0).model_copy(update={"id": "high_card_duel:1:0"})
    assert make_trace(0, 0).meta["my_card"] + make_trace(0, 0).meta["opponent_card"] == "8CKC"


def test_hands_are_drawn_evenly():
    traces = list(make_traces(5200, 0))
    ranks = Counter(trace.meta["my_card"][0] for trace in traces)
    assert all(abs(ranks[rank] - 400) < 100 for rank in RANKS)
    results = Counter(trace.meta["result"] for trace in traces)
    assert abs(results["tie"] - 5200 * 3 / 51) < 90
    assert abs(results["win"] - results["loss"]) < 350


@pytest.mark.parametrize(("count", "seed", "message"), [(0, 0, "count is 0"), (1, -1, "seed is")])
def test_what_makes_no_traces_is_refused(count, seed, message):
    with pytest.raises(ValueError, match=message):
        make_traces(count, seed)


def written(folder, count=5, seed=1):
    return write_traces_folder(
        make_traces(count, seed), folder,
        generator="g", version="1", config={"count": count, "seed": seed}, seed=seed, now=NOW,
    )  # fmt: skip


def test_a_folder_of_traces_is_made_once(tmp_path):
    made = written(tmp_path / "t")
    data = (tmp_path / "t" / TRACES_FILE).read_bytes()
    assert (made.num_rows, made.num_bytes) == (5, len(data))
    assert written(tmp_path / "t") == made
    with pytest.raises(ValueError, match="holds other traces"):
        written(tmp_path / "t", count=6)
    (tmp_path / "t" / TRACES_FILE).write_bytes(data + b"\n")
    with pytest.raises(ValueError, match="it has changed"):
        written(tmp_path / "t")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="holds no traces"):
        written(tmp_path / "other")


def test_traces_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [trace_row(index) for index in range(3)]
    write_traces(rows, path)
    assert list(read_traces(path, file_sha256(path))) == rows


def line(**fields):
    return json.dumps(trace_row(1).model_dump(mode="json", exclude={"id"}) | fields).encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "JSON"),
        (b"[]", "not a trace"),
        (b"\xff\xfe", "JSON"),
        (line(prompt=""), "prompt: "),
        (line(steps=[]), "steps: "),
        (line(surprise=1), "surprise: "),
        (line().replace(b'"addition"', b"NaN"), "meta: holds what is no JSON number"),
        (line().replace(b'"addition"', b"1e999"), "meta: holds what is no JSON number"),
        (line().replace(b'"addition"', b'"\\ud800"'), "not a trace"),
        (line().replace(b'"addition"', b"[" * 9000 + b"]" * 9000), "not a trace"),
        (b" " * (MAX_LINE_BYTES + 1) + line(), "over 8,388,608 bytes"),
    ],
    ids=["cut", "list", "bytes", "prompt", "steps", "extra", "nan", "inf", "half", "deep", "long"],
)
def test_a_line_that_is_no_trace_is_named(tmp_path, text, message):
    path = tmp_path / "t.jsonl"
    path.write_bytes(line() + b"\n" + text + b"\n")
    with pytest.raises(ValueError, match=f"t\\.jsonl:2 is.*{message}"):
        list(read_traces(path, file_sha256(path)))
