"""Which rows a version takes: filters, the latest, and a random sample."""

import json

import pytest

from datagen.dataset import read_split
from datagen.registry.filters import parse_filters
from datagen.registry.selection import MIN_BUFFER, Largest
from datagen.registry.versions import Registry
from tests.registry_sources import built, sat_dataset, traces_file


@pytest.fixture(scope="module")
def sat(tmp_path_factory):
    return sat_dataset(tmp_path_factory.mktemp("sources") / "sat")


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "datasets")


def ids(made):
    return list(made.manifest.trace_ids)


def test_filters_are_equality_on_columns_and_difficulty(sat, registry):
    filters = {"split": "train", "difficulty.n": "5", "task": "sat"}
    made = built(registry, "n5", sat, filters=filters)
    expected = [row.id for row in read_split(sat, "train") if json.loads(row.difficulty)["n"] == 5]
    assert 0 < len(expected) < 60
    assert ids(made) == expected
    assert made.manifest.dropped == {"filtered": 80 - len(expected)}


def test_an_index_is_a_number(sat, registry):
    assert ids(built(registry, "one", sat, filters={"index": "7", "split": "test"})) == [
        "sat:test:0:7"
    ]


@pytest.mark.parametrize(
    ("key", "value", "count"),
    [
        ("meta.index", "3", 1),
        ("meta.level", "high", 6),
        ("meta.flag", "true", 6),
        ("meta.ratio", "0.5", 6),
        ("meta.ratio", "5e-1", 6),
        ("meta.deep.colour", "red", 6),
        ("meta.list", "[1, 2]", 6),
        ("meta.digits", "1", 6),
        ("final_answer", "30", 1),
        ("trace_version", "1.0", 12),
    ],
)
def test_values_of_meta_are_compared_by_what_they_are(registry, tmp_path, key, value, count):
    traces = traces_file(
        tmp_path / "t.jsonl",
        level=["high", "low"],
        flag=[True, 1],
        ratio=[0.5, "0.50"],
        deep=[{"colour": "red"}, "red"],
        list=[[1, 2], [2, 1]],
        digits=["1", True],
    )
    assert built(registry, "some", traces, filters={key: value}).manifest.trace_count == count


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"nope": "1"}, "'nope' is unknown: problems have id, task, .*, difficulty.KEY"),
        ({"meta.n": "1"}, r"'meta\.n' is unknown: problems have"),
        ({"difficulty": "1"}, None),
        ({"difficulty.": "1"}, "is unknown: problems have"),
        (
            {"split": "train", "difficulty.nope": "1"},
            r"'difficulty\.nope' is unknown: no row has it; rows have .*difficulty\.label",
        ),
        ({"difficulty.n": "99"}, r"no row is left of .*: no row has difficulty\.n=99"),
        ({"difficulty.n": "five"}, "no row is left"),
        ({"task": "abd"}, "no row is left of .*: no row has task=abd"),
    ],
)
def test_filters_that_leave_nothing_are_an_error(sat, registry, filters, message):
    with pytest.raises(ValueError, match=message or "no row is left"):
        built(registry, "none", sat, filters=filters)
    assert registry.all_keys() == []


def test_difficulty_is_no_key_of_traces(registry, tmp_path):
    traces = traces_file(tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match="traces have id, trace_version, prompt, final_answer, m"):
        built(registry, "none", traces, filters={"difficulty.n": "1"})


def test_an_empty_source_is_an_error(registry, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="the sources have no rows"):
        built(registry, "none", tmp_path / "empty.jsonl")


def test_filters_are_parsed_at_the_first_equals_sign():
    assert parse_filters(["a=b=c", "d="]) == {"a": "b=c", "d": ""}


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["split"], "'split' is no KEY=VALUE"), (["=x"], "no KEY=VALUE"), (["a=1", "a=2"], "twice")],
)
def test_what_is_no_filter_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        parse_filters(texts)


def test_the_latest_problems_are_those_read_last(sat, registry, tmp_path):
    other = sat_dataset(tmp_path / "other", seed=1)
    made = built(registry, "late", sat, other, limit=25, filters={"split": "test"})
    expected = [*read_split(sat, "test"), *read_split(other, "test")][-25:]
    assert ids(made) == [row.id for row in expected]
    assert made.manifest.dropped == {"beyond the limit": 15, "filtered": 120}


def test_the_latest_traces_go_by_their_time_then_by_their_place(registry, tmp_path):
    times = [
        "2026-01-03T00:00:00Z",
        None,
        "2026-01-03T00:30:00+00:30",  # the same moment as the first
        "2026-01-02",
    ]
    traces = traces_file(tmp_path / "t.jsonl", count=8, created_at=times)
    built(registry, "all", traces)
    rows = list(registry.rows("all-1"))
    latest = {1: [6], 3: [2, 4, 6], 5: [0, 2, 4, 6, 7], 7: [0, 2, 3, 4, 5, 6, 7]}
    for limit, places in latest.items():
        made = built(registry, f"late {limit}", traces, limit=limit)
        assert ids(made) == [rows[place].id for place in places]


def test_a_time_that_is_none_is_named(registry, tmp_path):
    traces = traces_file(tmp_path / "t.jsonl", created_at=["yesterday"])
    with pytest.raises(ValueError, match=r"meta\.created_at is 'yesterday'"):
        built(registry, "late", traces, limit=1)


def test_a_random_sample_is_keyed_by_seed_and_id(sat, registry, tmp_path):
    def sample(name, *sources, **config):
        return set(ids(built(registry, name, *sources, strategy="random", limit=30, **config)))

    other = sat_dataset(tmp_path / "other", seed=1)
    one = sample("one", sat, other, seed=1)
    assert len(one) == 30
    assert sample("turned", other, sat, seed=1) == one
    assert sample("two", sat, other, seed=2) != one
    alone = sample("alone", sat, seed=1)
    assert {row_id for row_id in one if ":0:" in row_id} <= alone


def test_a_limit_above_the_rows_takes_all(sat, registry):
    made = built(registry, "all", sat, strategy="random", seed=0, limit=1000)
    assert made.manifest.trace_count == 80


def test_a_row_that_is_twice_counts_once_for_the_limit(sat, registry):
    made = built(registry, "few", sat, sat, limit=70).manifest
    assert made.trace_count == 70
    assert made.dropped == {"beyond the limit": 10, "duplicate": 80}


def test_the_largest_are_kept_in_bounded_buffers():
    largest = Largest(10)
    ranks = [(37 * number) % 10_007 for number in range(3 * MIN_BUFFER)]
    for number, rank in enumerate(ranks):
        largest.add(rank, number)
        assert len(largest._ranks) <= MIN_BUFFER + 10
    best = sorted(range(len(ranks)), key=lambda number: (ranks[number], number))[-10:]
    assert largest.numbers().tolist() == sorted(best)
