"""Datasets of SAT and ABD together: shares, order, and rows as each task alone has them."""

from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from datagen.config import MixConfig
from datagen.dataset import build_dataset, read_split
from reward_fns.records import Problem
from reward_fns.registry import choose_rewards, score_rows

CONFIG = {
    "type": "mix",
    "sat": {"style": "compact", "sizes": [{"n": 4, "m": 10}]},
    "abd": {
        "style": "compact",
        "programs": {"type": "procedural", "levels": [{"level": "micro"}]},
    },
    "splits": {
        "test": 60,
        "train": {"num_problems": 50, "sat_ratio": 0.3},
        "warmup": {
            "num_problems": 20,
            "sat": {"demonstrations": {"type": "walk", "per_problem": 3}},
            "abd": {"demonstrations": {"type": "run", "per_problem": 2}},
        },
    },
}


def config_of(**changes: object) -> MixConfig:
    return MixConfig.model_validate(CONFIG | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mix") / "mix"
    build_dataset(config_of(), folder, seed=3)
    return folder


def rows_of(folder: Path, split: str) -> list[Problem]:
    return list(read_split(folder, split))


@pytest.mark.parametrize(("split", "num_sat", "num_abd"), [("test", 30, 30), ("train", 15, 35)])
def test_each_split_has_the_share_that_it_asks_for(folder, split, num_sat, num_abd):
    rows = rows_of(folder, split)
    assert Counter(row.task for row in rows) == {"sat": num_sat, "abd": num_abd}
    assert [row.index for row in rows] == list(range(num_sat + num_abd))
    assert len({row.id for row in rows}) == len(rows)
    runs = [len(list(group)) for _, group in groupby(row.task for row in rows)]
    assert len(runs) > len(rows) / 5  # shuffled, not one after the other


def test_each_task_has_the_rows_of_a_dataset_of_its_own(folder, tmp_path):
    config = config_of()
    for task, own in (("sat", config.sat_config()), ("abd", config.abd_config())):
        build_dataset(own, tmp_path / task, seed=3)
        for split in CONFIG["splits"]:
            alone = [replace(row, index=0) for row in rows_of(tmp_path / task, split)]
            mixed = [replace(r, index=0) for r in rows_of(folder, split) if r.task == task]
            assert mixed == alone


def test_demonstrations_of_a_problem_stay_beside_each_other(folder):
    rows = rows_of(folder, "warmup")
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row.index)]
    assert [group[0].index for group in groups] == list(range(20))
    assert {(len(group), group[0].task) for group in groups} == {(3, "sat"), (2, "abd")}
    assert all(len({row.task for row in group}) == 1 for group in groups)


def test_gold_scores_1_and_the_other_tasks_gold_0(folder):
    rows = rows_of(folder, "test")
    rewards = choose_rewards(None)
    gold = {row.task: row.answer for row in rows}
    assert {s.value for s in score_rows(rewards, rows, [row.answer for row in rows])} == {1.0}
    crossed = [gold["abd" if row.task == "sat" else "sat"] for row in rows]
    assert {s.value for s in score_rows(rewards, rows, crossed)} == {0.0}


def test_the_bytes_depend_on_config_and_seed_alone(folder, tmp_path):
    first = build_dataset(config_of(), tmp_path / "again", seed=3)
    assert first.dataset_hash == build_dataset(config_of(), folder, seed=3).dataset_hash
    other = build_dataset(config_of(), tmp_path / "other", seed=4)
    assert other.dataset_hash != first.dataset_hash
    cut = build_dataset(config_of(shard_rows=7), tmp_path / "cut", seed=3)
    assert len(cut.splits["test"].shards) == 9
    assert rows_of(tmp_path / "cut", "test") == rows_of(folder, "test")


def test_the_manifest_tells_each_task(folder):
    manifest = build_dataset(config_of(), folder, seed=3)
    assert manifest.tasks == ("sat", "abd")
    assert set(manifest.chance["test"]) == {"sat", "abd"}
    assert set(manifest.chance["test"]["sat"]) == {"all_true", "random", "majority"}
    assert {"empty_input", "random_input"} <= set(manifest.chance["test"]["abd"])
    assert manifest.difficulty["train"] == {"n4 m10": 15, "micro": 35}
    assert {"sat_duplicates", "abd_duplicates"} <= set(manifest.dropped)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", *[".parquet"] * 3]


@pytest.mark.parametrize(("ratio", "tasks"), [(0.0, ("abd",)), (1.0, ("sat",))])
def test_a_task_without_a_share_is_not_made(tmp_path, ratio, tasks):
    config = config_of(sat_ratio=ratio, splits={"test": 5})
    assert build_dataset(config, tmp_path / "one", seed=0).tasks == tasks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sat_ratio": 1.5}, "sat_ratio"),
        ({"sat": CONFIG["sat"] | {"style": "affine"}}, "splits.warmup.sat.demonstrations need"),
        ({"abd": CONFIG["abd"] | {"style": "affine"}}, "splits.warmup.abd.demonstrations need"),
        ({"splits": {}}, "splits"),
        ({"splits": {"test": {"num_problems": 5, "ratio": 1}}}, "ratio"),
    ],
)
def test_a_mistake_is_told_by_its_field(changes, message):
    with pytest.raises(ValueError, match=message):
        config_of(**changes)
