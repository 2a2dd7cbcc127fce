"""Demonstrations: walks and random assignments, made without looking at any solution."""

import json
from collections import Counter

import numpy as np
import pytest

from datagen.config import SatConfig, SizeConfig
from datagen.dataset import build_dataset, read_split
from datagen.demonstrations import walk_literals

SETTINGS = SatConfig(
    family="q_hidden",
    style="compact",
    sizes=[SizeConfig(n=4, m=10), SizeConfig(n=5, m=14), SizeConfig(n=6, m=16)],
    splits={"test": 200, "warmup": {"num_problems": 500, "demonstrations": {"per_problem": 3}}},
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demonstrations") / "data"
    build_dataset(SETTINGS, folder, seed=1)
    return list(read_split(folder, "warmup"))


def test_the_rows_of_a_problem_stand_together_and_share_its_prompt(rows):
    assert len(rows) == 1500
    assert len({row.id for row in rows}) == 1500
    for first in range(0, 1500, 3):
        group = rows[first : first + 3]
        assert {row.index for row in group} == {first // 3}
        assert len({row.prompt for row in group}) == 1
        assert len({row.env for row in group}) == 1
        assert [row.id.rpartition(":")[2] for row in group] == ["0", "1", "2"]


def test_walks_take_a_literal_of_each_clause_and_contradict_themselves_only_when_stuck(rows):
    walks = [row for row in rows if row.prompt.endswith(" walk")]
    assert len(walks) / len(rows) == pytest.approx(0.8, abs=0.06)
    stuck = 0
    for row in walks:
        clauses = json.loads(row.env)["clauses"]
        words = row.answer.split(" ")
        assert all(word[0] in "+-" for word in words)
        assert len(words) == len(clauses)
        picked = set()
        for clause, word in zip(clauses, words, strict=True):
            pick = int(word)
            assert pick in clause
            if -pick in picked:
                stuck += 1
                assert all(-x in picked for x in clause)
            picked.add(pick)
    assert stuck > 0


def test_the_other_rows_are_random_assignments_of_all_variables(rows):
    plain = [row for row in rows if row.prompt.endswith(" =")]
    signs = Counter()
    for row in plain:
        literals = [int(word) for word in row.answer.split(" ")]
        assert [abs(x) for x in literals] == list(range(1, json.loads(row.env)["num_vars"] + 1))
        signs.update(x > 0 for x in literals)
    assert signs[True] / signs.total() == pytest.approx(0.5, abs=0.04)


def test_no_demonstrated_problem_is_in_another_split(rows, tmp_path):
    build_dataset(SETTINGS, tmp_path / "data", seed=1)
    canonical = [
        {tuple(sorted(tuple(sorted(c)) for c in json.loads(row.env)["clauses"])) for row in split}
        for split in (rows, read_split(tmp_path / "data", "test"))
    ]
    assert [len(problems) for problems in canonical] == [500, 200]
    assert not canonical[0] & canonical[1]


def test_a_walk_is_uniform_over_what_is_allowed():
    # (x1 or x2) then (not x1 or x2 or x3): after x1, only x2 and x3 are allowed.
    codes = np.array([[[0, 2, 4], [1, 2, 4]]], np.uint16)
    words = np.random.Generator(np.random.Philox(0)).integers(
        0, 2**32, (1, 60_000, 2), dtype=np.uint32
    )
    walks = walk_literals(codes, words, 3)
    first = np.bincount(walks[:, 0], minlength=6) / 60_000
    assert first[[0, 2, 4]] == pytest.approx([1 / 3] * 3, abs=0.01)
    after = np.bincount(walks[walks[:, 0] == 0, 1], minlength=6)
    assert after[1] == 0
    assert after[[2, 4]] / after.sum() == pytest.approx([0.5, 0.5], abs=0.02)
    free = np.bincount(walks[walks[:, 0] == 2, 1], minlength=6)
    assert free[[1, 2, 4]] / free.sum() == pytest.approx([1 / 3] * 3, abs=0.02)
