"""Advantages within groups, with unscored completions and groups without signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainers.advantages import EPSILON, batch_std, combine_rewards, group_advantages

NAN = float("nan")
REWARDS = np.array([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [2.0, NAN, 0.0, NAN]])


def test_group_scaling_uses_the_unbiased_std_of_scored_completions() -> None:
    result = group_advantages(REWARDS, "group")
    std = np.std([1, 0, 0, 1], ddof=1) + EPSILON
    np.testing.assert_allclose(result.values_BG[0], np.array([0.5, -0.5, -0.5, 0.5]) / std)
    pair = 1 / (np.std([2, 0], ddof=1) + EPSILON)
    np.testing.assert_allclose(result.values_BG[2], [pair, 0, -pair, 0])
    assert result.zero_variance_B.tolist() == [False, True, False]


def test_no_scaling_and_batch_scaling() -> None:
    plain = group_advantages(REWARDS, "none").values_BG
    np.testing.assert_array_equal(plain[0], [0.5, -0.5, -0.5, 0.5])
    scored = REWARDS[~np.isnan(REWARDS)]
    std = batch_std(REWARDS, list)
    assert std == pytest.approx(scored.std(ddof=1))
    scaled = group_advantages(REWARDS, "batch", std).values_BG
    np.testing.assert_allclose(scaled, plain / (std + EPSILON))


def test_batch_std_over_two_workers_is_that_of_all_rewards() -> None:
    halves = [REWARDS[:1], REWARDS[1:]]
    scored = REWARDS[~np.isnan(REWARDS)]

    def on_worker(index: int) -> float:
        totals = iter(
            (
                [scored.sum(), len(scored)],
                [((scored - scored.mean()) ** 2).sum()],
            )
        )
        return batch_std(halves[index], lambda mine: list(next(totals)))

    assert on_worker(0) == pytest.approx(on_worker(1)) == pytest.approx(scored.std(ddof=1))


def test_equal_rewards_that_do_not_sum_exactly_carry_no_signal() -> None:
    result = group_advantages(np.full((1, 3), 0.1), "group")
    assert result.zero_variance_B.tolist() == [True]
    assert result.values_BG.tolist() == [[0.0, 0.0, 0.0]]


def test_a_group_that_nothing_scored_carries_no_signal() -> None:
    result = group_advantages(np.full((1, 3), NAN), "group")
    assert result.zero_variance_B.tolist() == [True]
    assert result.values_BG.tolist() == [[0.0, 0.0, 0.0]]


def test_weighted_rewards_leave_out_functions_that_do_not_apply() -> None:
    rewards = np.array([[[1.0, NAN, NAN]], [[0.5, 0.5, NAN]]])
    np.testing.assert_array_equal(combine_rewards(rewards, (1.0, 2.0)), [[2.0, 1.0, NAN]])


@given(arrays(float, (3, 4), elements=st.floats(-10, 10)))
def test_advantages_of_a_group_sum_to_zero_and_keep_the_order(rewards: np.ndarray) -> None:
    values = group_advantages(rewards, "group").values_BG
    np.testing.assert_allclose(values.sum(1), 0, atol=1e-6)
    for reward, value in zip(rewards, values, strict=True):
        assert (np.diff(value[np.argsort(reward)]) >= 0).all()
