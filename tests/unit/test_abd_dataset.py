"""Datasets of generated ABD problems: bytes, screening, no duplicates, demonstrations, chance."""

import json
import random
from collections import Counter

import pytest

import datagen.abd_draw
import datagen.abd_runs
from datagen.abd import NUM_SCREENED, unfit
from datagen.abd_config import AbdConfig
from datagen.dataset import build_dataset, load_manifest, read_split
from reward_fns.abd import score_abd, score_abd_batch
from reward_fns.abductions import extract_input, input_text
from reward_fns.sandbox import shared_sandbox

LEVELS = [{"level": "micro"}, {"level": "micro", "inputs": 1, "depth": 1, "max_value": 60}]


def config(**changes):
    fields = {
        "style": "compact",
        "programs": {"type": "procedural", "levels": LEVELS},
        "splits": {"train": 400, "test": 150},
    }
    return AbdConfig.model_validate({**fields, **changes})


MIXED = config(
    style="affine",
    programs={"type": "procedural", "levels": [{"level": x} for x in ("easy", "medium", "hard")]},
    splits={"test": 120},
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed") / "data"
    return build_dataset(MIXED, folder, seed=5), list(read_split(folder, "test"))


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compact") / "data"
    splits = {
        "train": 400,
        "test": 150,
        "warmup": {"num_problems": 300, "demonstrations": {"per_problem": 3, "run_fraction": 0.7}},
    }
    manifest = build_dataset(config(splits=splits), folder, seed=5)
    return manifest, {split: list(read_split(folder, split)) for split in splits}


def printed(runs):
    """What programs print, each run by itself."""
    results = shared_sandbox().run_many(runs)
    return [result.stdout.decode() if result.status == "ok" else None for result in results]


def env_of(row):
    env = json.loads(row.env)
    return env["program"], env["expected_output"]


def test_rows_name_their_draws(compact):
    rows = compact[1]["test"]
    assert [row.index for row in rows] == list(range(150))
    assert all(row.id.startswith(f"abd:test:5:{row.index}") for row in rows)
    assert any("~" in row.id for row in compact[1]["train"])
    first = json.loads(rows[0].difficulty)
    assert set(first) == {"label", "lines", "depth", "inputs", "min_value", "max_value"}


def test_every_gold_input_gives_its_output_when_run_by_itself(mixed, compact):
    rows = mixed[1] + compact[1]["test"]
    outputs = printed([(env_of(row)[0], extract_input(row.answer)) for row in rows])
    assert outputs == [env_of(row)[1] for row in rows]


def test_the_manifest_counts_by_label(mixed):
    manifest, rows = mixed
    labels = Counter(json.loads(row.difficulty)["label"] for row in rows)
    assert manifest.difficulty["test"] == labels
    assert set(labels) == {"easy", "medium", "hard"}


def test_batches_change_nothing(tmp_path, monkeypatch):
    hashes = {build_dataset(config(), tmp_path / "whole", seed=5).dataset_hash}
    monkeypatch.setattr(datagen.abd_draw, "CHUNK_ROWS", 37)
    monkeypatch.setattr(datagen.abd_runs, "JOBS", 5)
    second = build_dataset(config(shard_rows=262_144), tmp_path / "cut", seed=5)
    first = load_manifest(tmp_path / "whole")
    assert second.dropped == first.dropped
    assert list(read_split(tmp_path / "cut", "train")) == list(
        read_split(tmp_path / "whole", "train")
    )
    assert hashes == {first.dataset_hash}


def test_a_second_call_does_nothing(tmp_path):
    first = build_dataset(config(), tmp_path / "data", seed=5)
    calls = []
    again = build_dataset(config(), tmp_path / "data", seed=5, progress=lambda *c: calls.append(c))
    assert again == first
    assert calls == []
    with pytest.raises(ValueError, match="another config or seed"):
        build_dataset(config(), tmp_path / "data", seed=6)


@pytest.mark.parametrize(
    "change",
    [
        {"style": "affine"},
        {"max_chance": 0.1},
        {"max_program_chars": 5000},
        {"max_io_chars": 1000},
        {"limits": {"wall_s": 3.0}},
        {"programs": {"type": "procedural", "levels": LEVELS[:1]}},
        {"seed": 9},
    ],
)
def test_any_change_of_the_config_changes_the_identity(change, tmp_path):
    splits = {"test": 20}
    first = build_dataset(config(splits=splits), tmp_path / "a", seed=5)
    second = build_dataset(config(splits=splits, **change), tmp_path / "b", seed=5)
    assert first.config_hash != second.config_hash


def test_no_problem_is_there_twice(compact):
    seen = Counter(
        (row.prompt if row.split != "warmup" else row.id.rpartition(":")[0])
        for rows in compact[1].values()
        for row in rows
    )
    problems = [
        env_of(row)
        for split, rows in compact[1].items()
        for row in (rows[::3] if split == "warmup" else rows)
    ]
    assert len(problems) == 850
    assert len(set(problems)) == 850
    assert max(count for prompt, count in seen.items() if not prompt.startswith("abd:")) == 1
    assert compact[0].dropped["duplicates"] + compact[0].dropped["leaks"] > 0


def test_measured_splits_stay_when_the_training_split_grows(tmp_path):
    small = config(splits={"train": 50, "test": 100})
    large = config(splits={"train": 500, "test": 100})
    build_dataset(small, tmp_path / "small", seed=5)
    build_dataset(large, tmp_path / "large", seed=5)
    assert list(read_split(tmp_path / "small", "test")) == list(
        read_split(tmp_path / "large", "test")
    )


def test_no_row_is_solved_by_echo_nothing_or_the_example(mixed):
    for row in mixed[1]:
        program, expected = env_of(row)
        shown = row.prompt.partition("for example:\n\n")[2].partition("\n\nI will")[0]
        for answer in (input_text(expected), input_text(""), shown):
            assert score_abd(answer, row.env).value == 0.0
        assert f"```python\n{program}\n```" in row.prompt
        assert f"```\n{expected.rstrip()}\n```" in row.prompt


def fresh_inputs(row, count):
    """Inputs of the row's shape, drawn here and not by the generator."""
    high = json.loads(row.difficulty)["max_value"]
    width = len(extract_input(row.answer).split())
    draws = random.Random(row.index)
    return [" ".join(str(draws.randint(0, high)) for _ in range(width)) for _ in range(count)]


def test_the_chances_in_the_manifest_are_those_of_really_answering(mixed, compact):
    manifest, rows = compact[0], compact[1]["test"]
    answers = [(row, text) for row in rows for text in fresh_inputs(row, 10)]
    scores = score_abd_batch(
        [input_text(text) for _, text in answers], [row.env for row, _ in answers]
    )
    rate = sum(score.value for score in scores) / len(scores)
    chance = manifest.chance["test"]
    assert chance["random_input"] == pytest.approx(rate, abs=0.03)
    assert rate > 0.02
    assert chance["empty_input"] == 0
    assert chance["echo_output"] == 0
    assert "example_input" not in chance
    assert manifest.chance_method["test"] == "sampled"
    assert mixed[0].chance["test"]["example_input"] == 0
    assert mixed[0].chance["test"]["random_input"] < 0.1


def test_problems_that_many_inputs_solve_are_left_out(tmp_path):
    strict = config(max_chance=0.01, splits={"test": 100})
    loose = config(max_chance=1.0, splits={"test": 100})
    rates = [
        build_dataset(settings, tmp_path / str(place), seed=1).chance["test"]["random_input"]
        for place, settings in enumerate((strict, loose))
    ]
    assert rates[0] < rates[1]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"output": None}, "failed"),
        ({"output": " \n"}, "empty_output"),
        ({"output": "3\n"}, "echo"),
        ({"again": "7\n"}, "echo"),
        ({"others": ["7\n"] * NUM_SCREENED}, "constant"),
        ({"others": ["7 \n"] * 4 + ["1\n"] * 12}, "ambiguous"),
        ({"empty": "7\n"}, "ambiguous"),
        ({"others": ["7\n"] * 3 + [None] * 13}, None),
        ({}, None),
    ],
)
def test_what_makes_no_problem_is_told_by_reason(given, reason):
    usual = {
        "gold": "3\n",
        "output": "7\n",
        "empty": None,
        "again": "15\n",
        "others": [str(x) for x in range(NUM_SCREENED) if x != 7],
        "max_chance": 0.2,
    }
    assert unfit(**{**usual, **given}) == reason


def test_runs_show_what_programs_print_and_never_an_abduction_problem_s_gold(compact):
    manifest, splits = compact
    rows = splits["warmup"]
    assert manifest.splits["warmup"].num_rows == 900
    assert manifest.splits["warmup"].num_problems == 300
    runs = [row for row in rows if row.prompt.endswith(" run")]
    assert len(runs) / len(rows) == pytest.approx(0.7, abs=0.1)
    asked = {
        (row.prompt.partition(" -> ")[0], row.prompt.partition(" -> ")[2].removesuffix(" input"))
        for split in ("train", "test")
        for row in splits[split]
    }
    inputs = [row.prompt.partition(" <- ")[2].removesuffix(" run") + "\n" for row in runs]
    outputs = printed([(env_of(row)[0], text) for row, text in zip(runs, inputs, strict=True)])
    for row, output in zip(runs, outputs, strict=True):
        assert row.answer.replace("- ", "-").replace(" ; ", "\n") == output.strip()
        assert (row.prompt.partition(" <- ")[0], row.answer) not in asked


def test_the_other_demonstrations_answer_at_random(compact):
    manifest, splits = compact
    rows = [row for row in splits["warmup"] if row.prompt.endswith(" input")]
    right = sum(score_abd(row.answer, row.env).value for row in rows) / len(rows)
    assert right == pytest.approx(manifest.chance["warmup"]["random_input"], abs=0.06)
    for row in rows:
        numbers = [int(word) for word in extract_input(row.answer).split()]
        assert all(0 <= x <= json.loads(row.difficulty)["max_value"] for x in numbers)


def test_a_level_that_has_too_few_problems_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(datagen.abd_draw, "MAX_ATTEMPTS", 60)
    levels = [{"level": "micro", "inputs": 1, "depth": 1, "lines": 2, "max_value": 1}]
    settings = config(
        programs={"type": "procedural", "levels": levels}, splits={"test": 500}, max_chance=1.0
    )
    with pytest.raises(ValueError, match=r"splits\.test: no further problem of level micro"):
        build_dataset(settings, tmp_path / "data", seed=0)
    assert list(tmp_path.iterdir()) == []
