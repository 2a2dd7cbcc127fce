"""The statistics agree with published values, with scipy, and with simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from orchestrator.statistics import (
    Estimate,
    mcnemar_p,
    mean_rate,
    paired_difference,
    pass_at_k,
    verdict,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("solved", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_newcombes_published_intervals(solved, n, low, high):
    assert wilson_interval(solved / n, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("solved", "n"), [(0, 1), (1, 1), (3, 7), (999, 1000), (1000, 1000)])
def test_wilson_and_greedy_rate_equal_scipy(solved, n):
    expected = binomtest(solved, n).proportion_ci(method="wilson")
    assert wilson_interval(solved / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)
    estimate = mean_rate([1.0] * solved + [0.0] * (n - solved))
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert estimate.n == n


@pytest.mark.parametrize(("rate", "n"), [(0.5, 0), (1.2, 10), (-0.1, 10)])
def test_wilson_refuses_impossible_input(rate, n):
    with pytest.raises(ValueError, match="needs 0 <= rate <= 1"):
        wilson_interval(rate, n)


def test_mean_rate_of_nothing_is_none():
    assert mean_rate([]) is None
    assert paired_difference([], []) is None


def test_clustered_interval_agrees_with_a_bootstrap_over_problems():
    rng = np.random.default_rng(0)
    values = rng.binomial(8, rng.beta(0.4, 0.6, size=1000)) / 8
    estimate = mean_rate(values.tolist(), draws=8)
    means = values[rng.integers(0, 1000, size=(4000, 1000))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert estimate.low == pytest.approx(low, abs=0.003)
    assert estimate.high == pytest.approx(high, abs=0.003)
    naive = wilson_interval(estimate.rate, 8000)
    assert estimate.high - estimate.low > 1.8 * (naive[1] - naive[0])


def test_identical_problems_count_each_sample_once():
    estimate = mean_rate([0.5] * 10, draws=8)
    assert (estimate.low, estimate.high) == pytest.approx(wilson_interval(0.5, 80))
    assert mean_rate([0.0] * 10, draws=8).high == pytest.approx(wilson_interval(0.0, 10)[1])


def test_clustered_interval_covers_in_simulation():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(600):
        values = rng.binomial(8, rng.beta(0.3, 0.9, size=60)) / 8
        estimate = mean_rate(values.tolist(), draws=8)
        covered += estimate.low <= 0.25 <= estimate.high
    assert 0.92 <= covered / 600 <= 0.985


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [(8, 3, 1, 3 / 8), (8, 0, 8, 0.0), (8, 1, 8, 1.0), (10, 3, 5, 1 - 21 / 252), (5, 4, 2, 1.0)],
)
def test_pass_at_k_is_chens_estimator(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected)


def test_pass_at_k_equals_the_mean_over_all_subsets():
    solved = [True, False, True, False, False, False]
    subsets = [s for s in range(64) if bin(s).count("1") == 3]
    hit = sum(any(solved[i] for i in range(6) if s >> i & 1) for s in subsets)
    assert pass_at_k(6, 2, 3) == pytest.approx(hit / len(subsets))


@pytest.mark.parametrize(("n", "c", "k"), [(8, 9, 1), (8, -1, 1), (8, 3, 9), (8, 3, 0)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [(0, 0, 1.0), (6, 2, 74 / 256), (2, 6, 74 / 256), (10, 0, 2 / 1024), (5, 5, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(gained, lost, expected):
    assert mcnemar_p(gained, lost) == pytest.approx(expected)


def test_paired_difference_is_bonett_and_prices_interval_for_binary_outcomes():
    before = [0.0] * 30 + [1.0] * 5 + [1.0] * 40 + [0.0] * 25
    after = [1.0] * 30 + [0.0] * 5 + [1.0] * 40 + [0.0] * 25
    gained, lost, n = 31 / 102, 6 / 102, 102
    half = 1.9837 * math.sqrt((gained + lost - (gained - lost) ** 2) / n)
    difference = paired_difference(before, after)
    assert difference.rate == pytest.approx(0.25)
    assert difference.low == pytest.approx(gained - lost - half, abs=1e-4)
    assert difference.high == pytest.approx(gained - lost + half, abs=1e-4)


def test_paired_difference_of_equals_is_a_tie_of_positive_width():
    difference = paired_difference([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert difference.low < 0 < difference.high
    assert verdict(difference) == "tied"


def test_paired_difference_covers_in_simulation():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(600):
        skill = rng.random(80)
        before = rng.random(80) < 0.3 * skill
        after = rng.random(80) < 0.3 * skill + 0.5
        difference = paired_difference(before.astype(float), after.astype(float))
        covered += difference.low <= 0.5 <= difference.high
    assert 0.925 <= covered / 600 <= 0.99


def test_paired_difference_refuses_unpaired_values():
    with pytest.raises(ValueError, match="pair them by id"):
        paired_difference([1.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.01, 0.2, "improved"), (-0.2, -0.01, "worse"), (0, 0.1, "tied")]
)
def test_verdict_follows_the_whole_interval(low, high, expected):
    assert verdict(Estimate((low + high) / 2, low, high, 10)) == expected
