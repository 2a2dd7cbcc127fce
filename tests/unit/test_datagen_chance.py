"""Chance baselines against plain enumeration."""

import itertools
import json

import numpy as np
import pytest

from datagen.chance import (
    MAX_PROBLEMS,
    Chance,
    majority_polarity,
    sampled_solutions,
    solution_counts,
)
from datagen.config import SatConfig, SizeConfig
from datagen.dataset import build_dataset, read_split
from datagen.keys import item_keys
from datagen.sat import planted
from datagen.solver import satisfies


def assignments(n):
    return [values[::-1] for values in itertools.product([False, True], repeat=n)]


@pytest.mark.parametrize(("n", "k", "m"), [(3, 2, 5), (5, 3, 12), (6, 4, 20), (7, 3, 9), (9, 3, 9)])
def test_solutions_are_counted_exactly(n, k, m):
    drawn = planted(SizeConfig(n=n, k=k, m=m), item_keys("sat", "t", 0, range(12)))
    counts = solution_counts(drawn.codes_NMK, n)
    for row in range(12):
        clauses = drawn.clauses(row)
        assert counts[row] == sum(satisfies(values, clauses) for values in assignments(n))


def test_samples_agree_with_the_count():
    keys = item_keys("sat", "t", 0, range(600))
    codes = planted(SizeConfig(n=10, k=3, m=12), keys).codes_NMK
    exact = solution_counts(codes, 10).mean() / 2**10
    assert sampled_solutions(codes, 10, keys).mean() / 64 == pytest.approx(exact, abs=0.02)
    assert (
        sampled_solutions(codes, 10, keys)[5:6] == sampled_solutions(codes[5:6], 10, keys[5:6])
    ).all()


def test_majority_polarity_is_true_at_a_tie():
    codes = np.array([[[0, 2], [1, 3], [3, 4]]], np.uint16)  # (1 2)(-1 -2)(-2 3)
    assert majority_polarity(codes, 4).tolist() == [[True, False, True, True]]


@pytest.mark.parametrize("n", [5, 12])
def test_a_manifest_tells_the_chance_of_its_problems(n, tmp_path):
    config = SatConfig(family="planted", sizes=[SizeConfig(n=n, ratio=2.4)], splits={"test": 300})
    manifest = build_dataset(config, tmp_path / "data", seed=3)
    found = {"all_true": 0.0, "random": 0.0, "majority": 0.0}
    for row in read_split(tmp_path / "data", "test"):
        clauses = json.loads(row.env)["clauses"]
        balance = [0] * n
        for literal in itertools.chain.from_iterable(clauses):
            balance[abs(literal) - 1] += 1 if literal > 0 else -1
        found["all_true"] += satisfies([True] * n, clauses) / 300
        found["majority"] += satisfies([x >= 0 for x in balance], clauses) / 300
        if n == 5:
            found["random"] += np.mean([satisfies(v, clauses) for v in assignments(n)]) / 300
    chance = manifest.chance["test"]
    assert chance["all_true"] == pytest.approx(found["all_true"], abs=1e-6)
    assert chance["majority"] == pytest.approx(found["majority"], abs=1e-6)
    if n == 5:
        assert chance["random"] == pytest.approx(found["random"], abs=1e-6)
    assert manifest.chance_method["test"] == ("exact" if n == 5 else "sampled")


def test_unsatisfiable_splits_tell_what_answering_unsat_is_worth(tmp_path):
    config = SatConfig(
        family="uniform", sizes=[SizeConfig(n=5)], splits={"test": 100}, unsat_fraction=0.4
    )
    manifest = build_dataset(config, tmp_path / "data", seed=0)
    answers = [row.answer for row in read_split(tmp_path / "data", "test")]
    assert manifest.chance["test"]["always_unsat"] == answers.count("UNSAT") / 100


def test_only_the_first_problems_of_a_large_split_are_measured():
    size = SizeConfig(n=5, m=4)
    keys = item_keys("sat", "t", 0, range(MAX_PROBLEMS + 100))
    drawn = planted(size, keys)
    first, whole = Chance(), Chance()
    first.add(drawn.codes_NMK[:MAX_PROBLEMS], 5, drawn.satisfiable_N[:MAX_PROBLEMS], keys)
    for start in range(0, len(keys), 1000):
        part = slice(start, start + 1000)
        whole.add(drawn.codes_NMK[part], 5, drawn.satisfiable_N[part], keys[part])
    assert whole.num_problems == MAX_PROBLEMS
    assert whole.rates() == first.rates()
