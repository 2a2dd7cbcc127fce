"""Datasets made in blocks: the bytes of one process, whatever the cut and however often stopped."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from datagen.blocks.build import build_in_blocks, plan_blocks
from datagen.blocks.parts import make_part
from datagen.blocks.plan import BlockPlan, Part, Shard, can_be_cut
from datagen.blocks.steps import Done, run_here
from datagen.blocks.work_folder import own_work
from datagen.config import AbdConfig, DatasetConfig, MixConfig, SatConfig
from datagen.dataset import build_dataset
from datagen.manifest import Manifest

MICRO = {"type": "procedural", "levels": [{"level": "micro"}]}
TINY_SAT = {"family": "planted", "sizes": [{"n": 4, "k": 2, "m": 2}, {"n": 5, "k": 2, "m": 2}]}
SPLITS = {"train": 60, "test": 40, "validation": 30}

CASES: dict[str, tuple[DatasetConfig, dict[str, int]]] = {
    "several chunks a block": (
        SatConfig(sizes=[{"n": 30}], splits={"train": 1500, "test": 20}, shard_rows=700),
        {},
    ),
    "blocks smaller than a chunk": (
        SatConfig(sizes=[{"n": 20}], splits={"train": 1100, "test": 20}),
        {"sat": 150},
    ),
    "many duplicates and leaks": (SatConfig(**TINY_SAT, splits=SPLITS), {"sat": 7}),
    "misfits": (
        SatConfig(
            family="uniform", sizes=[{"n": 5, "m": 25}], splits={"train": 90}, unsat_fraction=0.3
        ),
        {"sat": 40},
    ),
    "demonstrations": (
        SatConfig(
            style="compact",
            sizes=[{"n": 5, "m": 3}],
            splits={"train": 60, "warmup": {"num_problems": 50, "demonstrations": {}}},
            shard_rows=33,
        ),
        {"sat": 20},
    ),
    "programs": (
        AbdConfig(
            style="compact",
            programs=MICRO,
            splits={
                "train": 90,
                "test": 50,
                "warmup": {"num_problems": 30, "demonstrations": {"per_problem": 2}},
            },
        ),
        {"abd": 32},
    ),
    "both tasks": (
        MixConfig(
            type="mix",
            sat={"style": "compact", **TINY_SAT},
            abd={"style": "compact", "programs": MICRO},
            splits={
                "test": 30,
                "train": {"num_problems": 50, "sat_ratio": 0.8},
                "warmup": {"num_problems": 20, "sat": {"demonstrations": {"per_problem": 3}}},
            },
            shard_rows=23,
        ),
        {"sat": 9, "abd": 11},
    ),
}


def contents(manifest: Manifest) -> dict[str, object]:
    return manifest.model_dump(exclude={"created_at", "manifest_hash"})


@pytest.mark.parametrize("case", CASES)
def test_blocks_have_the_bytes_and_the_manifest_of_one_process(case: str, tmp_path: Path) -> None:
    config, sizes = CASES[case]
    whole = build_dataset(config, tmp_path / "whole" / "data", seed=3)
    folder = tmp_path / "blocks" / "data"
    made = build_in_blocks(config, folder, 3, run_here, block_problems=sizes)
    assert contents(made) == contents(whole)
    assert [path.name for path in folder.parent.iterdir()] == ["data"]
    assert build_dataset(config, folder, seed=3) == made


def test_the_case_of_many_duplicates_is_one(tmp_path: Path) -> None:
    config, sizes = CASES["many duplicates and leaks"]
    dropped = build_in_blocks(config, tmp_path / "d", 3, run_here, block_problems=sizes).dropped
    assert dropped["duplicates"] > 5 and dropped["leaks"] > 5


class Stopped(Exception):
    """The driver is gone."""


class StopsAfter:
    """Makes parts in a strange order, and stops after some of them."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.made: list[str] = []

    def __call__(self, plan: BlockPlan, parts: Sequence[Part], done: Done) -> None:
        for part in reversed(parts):
            if not self.left:
                raise Stopped
            self.left -= 1
            done(part, make_part(plan, part))
            self.made.append(part.name)


def test_a_build_that_stops_anywhere_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    config, sizes = CASES["both tasks"]
    whole = build_dataset(config, tmp_path / "whole" / "data", seed=3)
    folder = tmp_path / "blocks" / "data"
    made, sessions = None, 0
    while made is None:
        run, sessions = StopsAfter(3), sessions + 1
        try:
            made = build_in_blocks(config, folder, 3, run, block_problems=sizes)
        except Stopped:
            assert not folder.exists()
            assert len(run.made) == 3  # nothing is made twice
    assert sessions > 5
    assert contents(made) == contents(whole)


def test_shards_whose_bytes_changed_while_nobody_looked_are_written_again(tmp_path: Path) -> None:
    config, _ = CASES["several chunks a block"]
    whole = build_dataset(config, tmp_path / "whole" / "data", seed=3)
    folder = tmp_path / "blocks" / "data"

    def stops_at_the_last(plan: BlockPlan, parts: Sequence[Part], done: Done) -> None:
        if isinstance(parts[0], Shard):
            run_here(plan, parts[:-1], done)
            raise Stopped
        run_here(plan, parts, done)

    with pytest.raises(Stopped):
        build_in_blocks(config, folder, 3, stops_at_the_last)
    (shard,) = folder.parent.glob(".data.work-*/dataset/train-00000.parquet")
    shard.write_bytes(b"other")
    assert contents(build_in_blocks(config, folder, 3, run_here)) == contents(whole)


def test_rows_that_changed_are_refused(tmp_path: Path) -> None:
    config, _ = CASES["several chunks a block"]
    folder = tmp_path / "data"

    def changes_rows(plan: BlockPlan, parts: Sequence[Part], done: Done) -> None:
        run_here(plan, parts, done)
        for path in plan.work.glob("parts/*.rows"):
            path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ValueError, match=r"\.rows has changed since it was written: remove "):
        build_in_blocks(config, folder, 3, changes_rows)


def test_too_many_draws_without_a_problem_end_the_job(tmp_path: Path) -> None:
    config = SatConfig(
        family="uniform", sizes=[{"n": 6, "m": 40}], splits={"train": 300}, unsat_fraction=0.0
    )
    with pytest.raises(ValueError, match=r"max_dropped is 0\.5, but 0\.\d+ of [\d,]+ draws of sat"):
        build_in_blocks(config, tmp_path / "data", 0, run_here, max_dropped=0.5)


def test_a_space_that_is_exhausted_is_told_by_split_and_size(tmp_path: Path) -> None:
    config = SatConfig(family="planted", sizes=[{"n": 2, "k": 2, "m": 1}], splits={"test": 5})
    with pytest.raises(ValueError, match=r"splits\.test: no further problem of n=2 k=2 m=1"):
        build_in_blocks(config, tmp_path / "data", 0, run_here)


def test_two_sessions_do_not_make_the_same_dataset_at_a_time(tmp_path: Path) -> None:
    config, _ = CASES["many duplicates and leaks"]
    folder = tmp_path / "data"
    with (
        own_work(plan_blocks(config, folder, 0).work, folder),
        pytest.raises(ValueError, match="is being made now by another process"),
    ):
        build_in_blocks(config, folder, 0, run_here)
    build_in_blocks(config, folder, 0, run_here)


def test_what_another_config_has_left_is_removed_at_the_end(tmp_path: Path) -> None:
    config, sizes = CASES["many duplicates and leaks"]
    folder = tmp_path / "data"
    for seed in (1, 2):
        with pytest.raises(Stopped):
            build_in_blocks(config, folder, seed, StopsAfter(2), block_problems=sizes)
    assert len(list(tmp_path.iterdir())) == 2
    build_in_blocks(config, folder, 1, run_here, block_problems=sizes)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    shutil.rmtree(folder)


def test_only_generated_problems_can_be_cut(tmp_path: Path) -> None:
    given = AbdConfig(programs={"type": "jsonl", "path": "x.jsonl"}, splits={"test": "all"})
    assert not can_be_cut(given)
    assert all(can_be_cut(config) for config, _ in CASES.values())
