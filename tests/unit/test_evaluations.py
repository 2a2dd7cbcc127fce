"""SFT data from recorded evaluations: what is kept, what is counted, and what is written."""

import dataclasses
import datetime
import io
import json
import random
import threading
import tracemalloc
from pathlib import Path

import pytest

from datagen.evaluations import dataset
from datagen.evaluations.collect import Collection
from datagen.evaluations.config import EvaluationsConfig
from datagen.evaluations.dataset import write_evaluations
from datagen.evaluations.fields import Dropped
from datagen.evaluations.index import choose_keys
from datagen.evaluations.results import plain_name, read_result
from datagen.evaluations.source import FolderSource
from datagen.manifest import read_split, verify_dataset
from reward_fns.registry import REWARDS, score
from tests.evaluation_results import (
    FAULTS,
    FIRST_WINDOW,
    Written,
    abd_result,
    add_faults,
    changed,
    ded_result,
    key_of,
    sat_result,
    write_results,
)

NOW = datetime.datetime(2026, 11, 3, 4, 5, 6, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def written() -> Written:
    """6 windows, 25 evaluators, 24 rows each: 3,600 results, and every fault there is."""
    made = write_results(num_windows=6, num_hotkeys=25, num_rows=24)
    add_faults(made, window=5)
    return made


@pytest.fixture(scope="module")
def source(written: Written, tmp_path_factory: pytest.TempPathFactory) -> FolderSource:
    return FolderSource(written.save(tmp_path_factory.mktemp("bucket")))


def collect(source, **settings):
    collection = Collection(source, EvaluationsConfig(**settings))
    return collection, list(collection)


def one(row, **settings):
    return read_result(row, EvaluationsConfig(**settings))


def test_every_row_and_object_has_the_fate_it_was_made_with(source, written):
    collection, rows = collect(source)
    assert collection.rows == written.rows
    assert collection.objects == written.outcomes
    assert len(rows) == written.rows["kept"] > 2000
    assert collection.chosen.num_strange == 2
    assert collection.dropped["strange index entry"] == 2
    assert collection.dropped["object truncated"] == 1
    assert "kept" not in collection.dropped
    assert "object read" not in collection.dropped


@pytest.mark.parametrize(("path", "value", "reason"), FAULTS, ids=str)
def test_each_fault_is_named(path, value, reason):
    row = sat_result(random.Random(1))
    with pytest.raises(Dropped) as caught:
        one(json.loads(json.dumps(changed(row, path, value))))
    assert caught.value.reason == reason


def test_a_result_becomes_upstreams_record():
    row = sat_result(random.Random(1), uid=12)
    found = one(row)
    assert found.prompt == row["challenge"]["prompt"]
    assert found.response == row["response"]["response"]
    assert (found.model, found.miner_uid, found.environment) == ("team/model-12", 12, "SAT")
    assert (found.score, found.response_latency, found.challenge_id) == (1.0, 1.25, "c12")
    assert (found.task, found.label) == ("sat", "n5 m21")
    assert score("sat", "sat", found.response, found.env).value == 1


@pytest.mark.parametrize("value", [None, "", ...])
def test_a_model_that_is_not_named_is_unknown(value):
    assert one(changed(sat_result(random.Random(1)), "miner.model", value)).model == "unknown"


def test_a_challenge_may_lack_an_id():
    assert (
        one(changed(abd_result(random.Random(1)), "challenge.challenge_id", ...)).challenge_id
        is None
    )


def test_fields_that_are_not_used_may_hold_anything():
    row = changed(sat_result(random.Random(1)), "evaluation.extra", "x" * 10_000_000)
    assert one(changed(row, "signature", {"deep": [[[]]]})) == one(sat_result(random.Random(1)))


def test_environments_are_known_by_their_plain_names():
    assert [plain_name(n) for n in ("SAT", "affine:sat", "agentgym:WebShop ")] == [
        "sat", "sat", "webshop",
    ]  # fmt: skip
    ded = one(ded_result(random.Random(1)))
    assert (ded.task, ded.environment, ded.env) == ("ded", "affine:ded", "{}")


def test_only_the_environments_asked_for_are_kept(source, written):
    collection, rows = collect(source, env=("sat", "abd"))
    assert {row.task for row in rows} == {"sat", "abd"} == collection.tasks
    assert collection.rows["another environment"] > 500


@pytest.mark.parametrize(("least", "kept"), [(0.5, 1), (0.25, 2), (0.0, 3), (0.75, 1), (1.5, 0)])
def test_rows_at_min_score_are_kept(least, kept, tmp_path):
    rng, made = random.Random(1), Written()
    rows = [changed(sat_result(rng), "evaluation.score", value) for value in (0.0, 0.25, 1)]
    made.objects[key_of(0, "5A")] = json.dumps(rows).encode()
    collection, found = collect(FolderSource(made.save(tmp_path)), min_score=least)
    assert len(found) == kept
    assert collection.rows["below min_score"] == 3 - kept


def test_the_newest_windows_come_first_and_max_results_is_exact(source):
    _, rows = collect(source)
    for limit in (1, 100, 1999):
        collection, first = collect(source, max_results=limit)
        assert first == rows[:limit]
        assert collection.rows["kept"] == limit
    assert collect(source, max_results=10**6)[1] == rows


def test_reading_twice_gives_the_same_order(source):
    assert collect(source)[1] == collect(source)[1]


@pytest.mark.parametrize(
    ("tail", "windows"), [(1, 2), (20, 2), (21, 3), (40, 3), (100, 6), (10**9, 6)]
)
def test_tail_counts_blocks_back_from_the_newest_window(tail, windows, source):
    chosen = choose_keys(source, tail)
    starts = {key[15:24] for key in chosen.keys}
    assert len(starts) == windows
    assert chosen.last_window == FIRST_WINDOW + 100
    assert list(dict.fromkeys(key[15:24] for key in chosen.keys)) == sorted(starts, reverse=True)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "has no affine/index.json"),
        (b"", "affine/index.json cannot be read: empty"),
        (b'["affine/results/00541', "affine/index.json cannot be read: truncated"),
        (b"{}", "affine/index.json cannot be read: not a JSON array"),
        (b"oops", "affine/index.json cannot be read: not JSON"),
        (b"[]", "affine/index.json names no result"),
        (b'["../secret.json", {}, "affine/results/../../x.json"]', "names no result"),
    ],
)
def test_an_index_that_cannot_be_used_is_said_in_one_line(index, message, tmp_path):
    (tmp_path / "affine").mkdir()
    if index is not None:
        (tmp_path / "affine/index.json").write_bytes(index)
    with pytest.raises(ValueError, match=message) as caught:
        choose_keys(FolderSource(tmp_path), 100)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_verify_counts_where_the_record_differs(source, written):
    collection, rows = collect(source, verify=True)
    found = collection.agreements["sat"]
    assert found.num_recorded_higher == written.lies["sat"] > 10
    assert (found.num_recorded_lower, found.num_unscored) == (0, 0)
    assert found.num_rows == sum(row.task == "sat" for row in rows)
    assert found.disagreement == pytest.approx(written.lies["sat"] / found.num_rows)
    assert {row.verified_score for row in rows if row.task == "sat"} == {0.0, 1.0}
    assert {row.verified_score for row in rows if row.task == "ded"} == {None}


def test_verify_never_counts_what_it_could_not_score(source):
    collection, rows = collect(source, verify=True, env=("abd",), max_results=40)
    found = collection.agreements["abd"]
    assert found.num_rows == len(rows) == 40
    if "abd" in REWARDS:
        assert found.num_unscored == 0
        assert found.num_equal + found.num_recorded_higher == 40
    else:
        assert (found.num_unscored, found.disagreement) == (40, None)


def test_verifying_changes_no_row_but_for_our_score(source):
    plain, verified = collect(source)[1], collect(source, verify=True, env=())[1]
    assert [dataclasses.replace(row, verified_score=None) for row in verified] == plain


def write(source, folder, **settings):
    return write_evaluations(Collection(source, EvaluationsConfig(**settings)), folder, NOW)


def test_the_dataset_and_upstreams_file_hold_the_same_rows(source, written, tmp_path):
    manifest, exported = write(source, tmp_path / "data")
    rows = list(read_split(tmp_path / "data", "train"))
    assert verify_dataset(tmp_path / "data") == manifest
    assert len(rows) == exported.num_rows == manifest.splits["train"].num_rows
    assert len(rows) == written.rows["kept"]
    assert manifest.tasks == ("abd", "ded", "sat")
    assert manifest.dropped["duplicate"] == 2
    assert sum(manifest.difficulty["train"].values()) == len(rows)
    records = json.loads((tmp_path / "data.json").read_text())
    assert [record["response"] for record in records] == [row.answer for row in rows]
    _, found = collect(source)
    assert records[7] == {name: getattr(found[7], name) for name in records[7]}
    assert len({row.id for row in rows}) == len(rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "data.json"]


def test_rows_of_the_dataset_are_read_by_our_rewards(source, tmp_path):
    write(source, tmp_path / "data", env=("sat",))
    rows = list(read_split(tmp_path / "data", "train"))
    scores = [score("sat", row.task, row.answer, row.env).value for row in rows]
    assert set(scores) == {0.0, 1.0}


def test_the_same_source_gives_the_same_bytes(source, tmp_path):
    first, one_file = write(source, tmp_path / "a")
    second, other_file = write(source, tmp_path / "b")
    assert first.dataset_hash == second.dataset_hash
    assert one_file.sha256 == other_file.sha256
    assert write(source, tmp_path / "c", tail=20)[0].dataset_hash != first.dataset_hash


def test_no_row_that_is_kept_is_said_with_the_reasons(source, tmp_path):
    with pytest.raises(ValueError, match=r"no row is kept: .*3,?\d* below min_score"):
        write(source, tmp_path / "data", min_score=2.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["data", "data.json"])
def test_what_exists_is_left_alone(name, source, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name} exists: choose another folder"):
        write(source, tmp_path / "data")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_failed_export_leaves_nothing(source, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "EXPORT", "gradients")  # cannot carry the environment `ded`
    with pytest.raises(ValueError, match="carries sat and abd"):
        write(source, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


class Failing(FolderSource):
    """A folder of which one object stops in the middle, as a connection does."""

    def open(self, key):
        if key != key_of(2, "5Hot3"):
            return super().open(key)
        return Cut((self.folder / key).read_bytes())


class Cut(io.BytesIO):
    def read(self, size=-1, /):
        if self.tell() > 0:
            raise ConnectionResetError("connection reset by peer")
        return super().read(5000)


def test_trouble_of_the_source_ends_it_and_leaves_nothing(source, tmp_path):
    with pytest.raises(ConnectionResetError):
        write(Failing(source.folder), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
    assert readers() == []


def readers() -> list[str]:
    """The threads that read results; other tests' are not counted."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("results")]


def test_threads_end_with_the_reading(source):
    rows = iter(Collection(source, EvaluationsConfig()))
    next(rows)
    assert readers() != []
    rows.close()
    assert readers() == []


def test_memory_does_not_grow_with_an_object(tmp_path: Path):
    rng = random.Random(4)
    row = changed(sat_result(rng), "response.response", "x1=True " * 2500)
    key = key_of(0, "5Large")
    (tmp_path / "affine/results").mkdir(parents=True)
    (tmp_path / "affine/index.json").write_text(json.dumps([key]))
    with (tmp_path / key).open("w") as file:
        for index in range(3000):  # 60 MB
            row["challenge"]["prompt"] = f"prompt {index}"
            file.write(("[" if index == 0 else ",") + json.dumps(row))
        file.write("]")
    tracemalloc.start()
    try:
        num_rows = sum(1 for _ in Collection(FolderSource(tmp_path), EvaluationsConfig()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert num_rows == 3000
    assert peak < 12_000_000
