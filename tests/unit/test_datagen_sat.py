"""The three families: what each distribution is, checked by counting."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from datagen.chance import majority_polarity
from datagen.config import SizeConfig
from datagen.keys import item_keys
from datagen.sat import FAMILIES, planted, q_hidden, unbiased_q, uniform


def batch(family, n, k, m, count=2000):
    size = SizeConfig(n=n, k=k, m=m)
    return FAMILIES[family](size, item_keys("sat", "train", 0, range(count)))


def true_literals(drawn):
    """Whether each literal is true under the planted solution, [N, M, K]."""
    codes = drawn.codes_NMK
    values = np.take_along_axis(drawn.solutions_NV, (codes.reshape(len(codes), -1) >> 1), axis=1)
    return values.reshape(codes.shape) == (codes & 1 == 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_item_is_the_same_alone_and_in_a_batch(family):
    size = SizeConfig(n=9, k=4, m=20)
    keys = item_keys("sat", "train", 5, range(40))
    together, alone = FAMILIES[family](size, keys), FAMILIES[family](size, keys[17:18])
    assert together.clauses(17) == alone.clauses(0)
    assert (together.solutions_NV[17] == alone.solutions_NV[0]).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "k"), [(2, 2), (5, 3), (9, 9), (200, 4)])
def test_clauses_have_distinct_variables_in_range(family, n, k):
    drawn = batch(family, n, k, 6, count=50)
    for row in range(50):
        for clause in drawn.clauses(row):
            assert len({abs(x) for x in clause}) == k
            assert all(1 <= abs(x) <= n for x in clause)


@pytest.mark.parametrize("family", FAMILIES)
def test_variables_are_uniform_at_every_place(family):
    codes = batch(family, 7, 3, 12).codes_NMK
    for place in range(3):
        counts = np.bincount((codes[:, :, place] >> 1).ravel(), minlength=7)
        assert stats.chisquare(counts).pvalue > 1e-4
    pairs = (codes[:, :, 0] >> 1).astype(int) * 7 + (codes[:, :, 1] >> 1)
    counts = np.bincount(pairs.ravel(), minlength=49).reshape(7, 7)
    assert np.diag(counts).sum() == 0
    assert stats.chisquare(counts[~np.eye(7, dtype=bool)]).pvalue > 1e-4


@pytest.mark.parametrize("family", ["planted", "q_hidden"])
@pytest.mark.parametrize(("n", "k"), [(5, 2), (7, 3), (7, 5), (70, 3)])
def test_the_planted_solution_satisfies_every_clause(family, n, k):
    drawn = batch(family, n, k, 15, count=300)
    assert true_literals(drawn).any(axis=2).all()
    assert drawn.satisfiable_N.all()


@pytest.mark.parametrize("family", ["planted", "q_hidden"])
def test_solutions_are_uniform(family):
    for n in (5, 70):
        solutions = batch(family, n, 3, 8).solutions_NV[:, -5:]
        numbers = solutions @ (1 << np.arange(5))
        assert stats.chisquare(np.bincount(numbers, minlength=32)).pvalue > 1e-4


def upstream_true_counts(k, count):
    """How many literals of a clause are true when one is forced and the rest are coins."""
    coins = random.Random(0)
    return np.bincount(
        [1 + sum(coins.random() < 0.5 for _ in range(k - 1)) for _ in range(count)],
        minlength=k + 1,
    )


@pytest.mark.parametrize("k", [2, 3, 5])
def test_planted_is_upstreams_distribution(k):
    true = true_literals(batch("planted", 8, k, 34))
    counts = np.bincount(true.sum(axis=2).ravel(), minlength=k + 1)
    assert counts[0] == 0
    table = np.stack([counts[1:], upstream_true_counts(k, 50_000)[1:]])
    assert stats.chi2_contingency(table).pvalue > 1e-4
    assert true.mean() == pytest.approx(0.5 + 0.5 / k, abs=0.005)
    for place in range(k):
        assert true[:, :, place].mean() == pytest.approx(0.5 + 0.5 / k, abs=0.01)


@pytest.mark.parametrize(
    ("n", "k", "m", "majority"), [(3, 2, 12, 0.857), (7, 5, 29, 0.863), (15, 10, 63, 0.989)]
)
def test_planted_is_as_easy_for_majority_polarity_as_upstream(n, k, m, majority):
    drawn = batch("planted", n, k, m)
    values = majority_polarity(drawn.codes_NMK, n)
    solved = [
        all(
            any(values[row][abs(x) - 1] == (x > 0) for x in clause) for clause in drawn.clauses(row)
        )
        for row in range(len(drawn))
    ]
    assert np.mean(solved) == pytest.approx(majority, abs=0.03)


def test_unbiased_q_is_the_known_root():
    assert unbiased_q(3) == pytest.approx((5**0.5 - 1) / 2, abs=1e-9)
    assert unbiased_q(2) == pytest.approx(0, abs=1e-6)
    for k in range(3, 20):
        q = unbiased_q(k)
        assert (1 - q) * (1 + q) ** (k - 1) == pytest.approx(1, abs=1e-6)
        assert 0.6 < q < 1


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_q_hidden_weighs_a_clause_by_its_true_literals_without_bias(k):
    true = true_literals(batch("q_hidden", 9, k, 30))
    counts = np.bincount(true.sum(axis=2).ravel(), minlength=k + 1)
    weights = np.array(
        [0.0, *(math.comb(k, t) * unbiased_q(k) ** (t - 1) for t in range(1, k + 1))]
    )
    shares = weights / weights.sum()
    for t in range(k + 1):
        half_width = 5 * (shares[t] * (1 - shares[t]) / counts.sum()) ** 0.5
        assert abs(counts[t] / counts.sum() - shares[t]) <= half_width + 1e-6
    for place in range(k):
        assert true[:, :, place].mean() == pytest.approx(0.5, abs=0.01)


def test_uniform_signs_are_coins():
    codes = uniform(SizeConfig(n=9, k=3, m=30), item_keys("sat", "t", 0, range(2000))).codes_NMK
    signs = (codes & 1) @ np.array([1, 2, 4])
    assert stats.chisquare(np.bincount(signs.ravel(), minlength=8)).pvalue > 1e-4


def test_other_seeds_and_splits_give_other_problems():
    size = SizeConfig(n=9, k=3, m=20)
    for family in (planted, q_hidden):
        drawn = [
            family(size, item_keys("sat", split, seed, [0])).clauses(0)
            for split, seed in (("train", 0), ("train", 1), ("test", 0))
        ]
        assert drawn[0] != drawn[1] != drawn[2] != drawn[0]
