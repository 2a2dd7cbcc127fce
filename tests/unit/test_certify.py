"""Certification: a dataset as it was made passes, and each kind of damage is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from datagen.certify import NotCertified, certify, told
from datagen.certify_rows import wrong_answer
from datagen.config import MixConfig
from datagen.dataset import build_dataset, read_split
from datagen.manifest import MANIFEST, SCHEMA, dataset_hash, load_manifest, write_record
from datagen.shards import ShardWriter
from reward_fns.records import Problem
from reward_fns.registry import choose_rewards, score_rows

FORMATS = ("trl", "affine_grpo")
CONFIG = MixConfig(
    type="mix",
    sat={"sizes": [{"n": 5}, {"n": 6, "k": 4}]},
    abd={"programs": {"type": "procedural", "levels": [{"level": "easy"}]}},
    splits={"test": 20, "train": 30},
    shard_rows=12,
)
COMPACT = MixConfig(
    type="mix",
    sat={"style": "compact", "sizes": [{"n": 5, "m": 10}]},
    abd={"style": "compact", "programs": {"type": "procedural", "levels": [{"level": "micro"}]}},
    splits={
        "train": 20,
        "warmup": {
            "num_problems": 10,
            "sat": {"demonstrations": {"per_problem": 3}},
            "abd": {"demonstrations": {"per_problem": 2}},
        },
    },
    shard_rows=7,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_dataset(CONFIG, tmp_path / "data", seed=1)
    return tmp_path / "data"


def change(folder: Path, changed: Callable[[list[Problem]], list[Problem]]) -> None:
    """Write the test split again with other rows, and a manifest that tells the truth of it."""
    manifest = load_manifest(folder)
    rows = changed(list(read_split(folder, "test")))
    for path in folder.glob("test-*"):
        path.unlink()
    writer = ShardWriter(folder, "test", 100)
    table = [{name: getattr(row, name) for name in SCHEMA.names} for row in rows]
    writer.write(pa.Table.from_pylist(table, schema=SCHEMA))
    info = manifest.splits["test"].model_copy(update={"shards": writer.close()})
    splits = {**manifest.splits, "test": info}
    data = manifest.model_copy(
        update={"splits": splits, "dataset_hash": dataset_hash(manifest.config_hash, splits)}
    )
    write_record(folder / MANIFEST, data)


def test_a_dataset_as_it_was_made_is_certified(folder: Path) -> None:
    counts = certify(folder, FORMATS)
    assert counts["gold"] == counts["problems"] == 50
    assert counts["wrong"] == 100
    line = told(counts, FORMATS)
    assert line.startswith(
        "certified: 25 abd rows, 25 sat rows; 50 gold answers score 1, 100 wrong"
    )
    assert line.endswith('"trl", "affine_grpo"')


def test_demonstrations_are_looked_at_but_not_scored(tmp_path: Path) -> None:
    build_dataset(COMPACT, tmp_path / "data", seed=1)
    counts = certify(tmp_path / "data", FORMATS)
    assert counts["gold"] == 20
    assert counts["problems"] == 30
    assert counts["sat rows"] == 10 + 15 and counts["abd rows"] == 10 + 10


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            lambda rows: [replace(rows[0], answer=wrong_answer(rows[0])), *rows[1:]],
            r"row \S+: its gold answer scores 0\.0 \(\w+\), not 1\.0",
        ),
        (lambda rows: [*rows[:-1], rows[0]], "split test: 1 problems are there twice"),
        (
            lambda rows: [
                replace(row, env='{"program":"print(0)","expected_output":"0\\n"}')
                if row.task == "abd"
                else row
                for row in rows
            ],
            r"its wrong answer scores 1\.0",
        ),
    ],
)
def test_damage_is_found(folder: Path, changed, message: str) -> None:
    change(folder, changed)
    with pytest.raises(NotCertified, match=message):
        certify(folder, FORMATS)


def test_a_leak_between_splits_is_found_whatever_the_order_of_clauses(folder: Path) -> None:
    stolen = next(row for row in read_split(folder, "train") if row.task == "sat")
    env = json.loads(stolen.env)
    env["clauses"] = [clause[::-1] for clause in env["clauses"][::-1]]
    shuffled = replace(stolen, env=json.dumps(env))
    change(folder, lambda rows: [*rows[:-1], shuffled])
    with pytest.raises(NotCertified, match="splits test and train share 1 problems"):
        certify(folder, FORMATS)


def test_a_row_that_is_no_record_of_a_format_is_named(folder: Path) -> None:
    def broken(rows: list[Problem]) -> list[Problem]:
        return [replace(r, answer="UNSAT") if r.task == "sat" else r for r in rows]

    change(folder, broken)
    with pytest.raises(NotCertified, match=r"'affine_grpo' needs a solution, and the"):
        certify(folder, FORMATS)


def test_bytes_that_changed_are_no_dataset(folder: Path) -> None:
    path = next(folder.glob("*.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="does not match its manifest"):
        certify(folder, FORMATS)


def test_wrong_answers_are_well_formed_and_score_0(folder: Path) -> None:
    rows = [row for split in ("train", "test") for row in read_split(folder, split)]
    scores = score_rows(choose_rewards(None), rows, [wrong_answer(row) for row in rows])
    assert {score.value for score in scores} == {0.0}
    assert {s.reason for s, row in zip(scores, rows, strict=True) if row.task == "sat"} == {
        "unsatisfied_clause"
    }
