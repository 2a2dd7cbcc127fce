"""Sampling noise by key, and tokens picked by inverting a distribution."""

from collections import Counter

import numpy as np
import pytest
import torch

from trainers.engine.sampling import number_samples, pick, uniforms

PINNED = [0.11773690272621251, 0.7916407554573492, 0.9149876222151601]


def test_noise_belongs_to_its_key() -> None:
    noise = uniforms(3, 7, ["a", "b", "c"], 4, 10)
    assert noise.shape == (3, 4, 10)
    assert len(np.unique(noise)) == noise.size
    np.testing.assert_array_equal(uniforms(3, 7, ["c", "a"], 2, 6), noise[[2, 0], :2, :6])
    assert not (uniforms(4, 7, ["a"], 4, 10) == noise[0]).any()
    assert not (uniforms(3, 8, ["a"], 4, 10) == noise[0]).any()


def test_a_prompt_that_comes_again_goes_on_counting_its_samples() -> None:
    drawn: Counter[str] = Counter()
    assert number_samples(["a", "b", "a"], 4, drawn) == [0, 0, 4]
    assert number_samples(["c", "a"], 4, drawn) == [0, 8]
    noise = uniforms(3, 7, ["a", "b", "a"], 4, 10, [0, 0, 4])
    assert len(np.unique(noise)) == noise.size
    np.testing.assert_array_equal(noise[:2], uniforms(3, 7, ["a", "b"], 4, 10))
    np.testing.assert_array_equal(noise[2], uniforms(3, 7, ["a"], 8, 10)[0, 4:])


def test_noise_is_the_same_in_every_version() -> None:
    """A change of these numbers breaks the exact resume of runs made before it."""
    assert uniforms(0, 0, ["p"], 1, 3).ravel().tolist() == PINNED


def test_noise_is_uniform() -> None:
    noise = uniforms(0, 0, [str(i) for i in range(50)], 8, 50).ravel()
    assert 0 <= noise.min() < noise.max() < 1
    counts, _ = np.histogram(noise, bins=10, range=(0, 1))
    expected = len(noise) / 10
    assert ((counts - expected) ** 2 / expected).sum() < 30  # chi-squared, 9 degrees of freedom


def test_picked_tokens_follow_the_distribution() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0, -30.0])
    draws = torch.from_numpy(uniforms(0, 0, ["x"], 1, 20000)).ravel()
    tokens, logprobs = pick(logits.expand(len(draws), -1), draws, None, 0.8, 1.0)
    log_p = (logits / 0.8).log_softmax(-1)
    torch.testing.assert_close(logprobs, log_p[tokens])
    shares = torch.bincount(tokens, minlength=5) / len(draws)
    torch.testing.assert_close(shares, log_p.exp(), atol=0.01, rtol=0)


def test_the_ends_of_the_unit_interval_pick_tokens_that_can_be() -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 2.0, -torch.inf]]).expand(2, -1)
    tokens, logprobs = pick(logits, torch.tensor([0.0, 1 - 2**-53]).double(), None, 1.0, 1.0)
    assert tokens.tolist() == [1, 2]
    assert torch.isfinite(logprobs).all()


@pytest.mark.parametrize(("top_p", "allowed"), ((0.5, {2}), (0.7, {2, 0}), (0.95, {2, 0, 3})))
def test_top_p_cuts_the_tail(top_p: float, allowed: set[int]) -> None:
    logits = torch.tensor([0.25, 0.02, 0.6, 0.13]).log()
    draws = torch.linspace(0, 1 - 1e-9, 1000).double()
    tokens, logprobs = pick(logits.expand(1000, -1), draws, None, 1.0, top_p)
    assert set(tokens.tolist()) == allowed
    torch.testing.assert_close(logprobs, logits.log_softmax(-1)[tokens])


def test_greedy_rows_take_the_likeliest_token() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]]).expand(2, -1)
    uniform = torch.tensor([0.999, 0.001]).double()
    tokens, _ = pick(logits, uniform, torch.tensor([True, False]), 1.0, 1.0)
    assert tokens.tolist() == [1, 0]
