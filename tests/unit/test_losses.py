"""The clipped surrogate and its normalizations, against values worked out by hand."""

import math

import pytest
import torch

from trainers.losses import LossConfig, LossScale, reduce_loss, token_terms

LENGTHS = torch.tensor([3, 1, 2])
LOSS = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
KEPT = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])


def config(loss_type: str = "dapo", beta: float = 0.0) -> LossConfig:
    return LossConfig(loss_type, 0.2, 0.3, beta, max_completion_length=10)


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    (
        ("dapo", 17 / 5),
        ("bnpo", 17 / 5),
        ("dr_grpo", 17 / (3 * 10)),
        ("grpo", (6 / 3 + 11 / 2) / 3),
    ),
)
def test_reductions(loss_type: str, expected: float) -> None:
    loss = reduce_loss(config(loss_type), LOSS, KEPT, LENGTHS, LossScale(5, 3))
    assert float(loss) == pytest.approx(expected)


@pytest.mark.parametrize("loss_type", ("grpo", "bnpo", "dr_grpo", "dapo"))
def test_shares_of_micro_batches_add_up(loss_type: str) -> None:
    scale = LossScale(5, 3)
    whole = reduce_loss(config(loss_type), LOSS, KEPT, LENGTHS, scale)
    first = reduce_loss(config(loss_type), LOSS[:3], KEPT[:3], LENGTHS[:1], scale)
    second = reduce_loss(config(loss_type), LOSS[3:], KEPT[3:], LENGTHS[1:], scale)
    assert float(first + second) == pytest.approx(float(whole))


def test_nothing_kept_is_no_loss() -> None:
    loss = reduce_loss(config(), LOSS, torch.zeros(6), LENGTHS, LossScale(0, 3))
    assert float(loss) == 0.0


def test_clipping_stops_gradients_on_the_side_it_guards() -> None:
    ratios = torch.tensor([0.5, 0.5, 1.0, 2.0, 2.0])
    advantages = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    logprobs = ratios.log().requires_grad_()
    terms = token_terms(config(), logprobs, advantages, torch.zeros(5), None)
    terms.loss_M.sum().backward()
    assert terms.loss_M.tolist() == pytest.approx([-0.5, 0.8, -1.0, -1.3, 2.0])
    assert terms.clipped_M.tolist() == [False, True, False, True, False]
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([-0.5, 0.0, -1.0, 0.0, 2.0])


def test_on_policy_the_gradient_is_the_advantage() -> None:
    logprobs = torch.tensor([-1.0, -3.0], requires_grad=True)
    advantages = torch.tensor([0.5, -2.0])
    terms = token_terms(config(), logprobs, advantages, None, None)
    terms.loss_M.sum().backward()
    assert terms.loss_M.tolist() == [-0.5, 2.0]
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [-0.5, 2.0]


def test_k3_penalty_times_the_ratio() -> None:
    """The gradient of beta * k3 * ratio, taken by hand: beta * (ratio * k3 + 1 - exp(ref - p))."""
    logprobs = torch.tensor([-1.0], requires_grad=True)
    old, reference = torch.tensor([-1.1]), torch.tensor([-1.5])
    terms = token_terms(config(beta=0.1), logprobs, torch.zeros(1), old, reference)
    terms.loss_M.sum().backward()
    k3 = math.exp(-0.5) + 0.5 - 1
    ratio = math.exp(0.1)
    assert terms.kl_M is not None
    assert float(terms.kl_M) == pytest.approx(k3)
    assert terms.loss_M.tolist() == pytest.approx([0.1 * k3 * ratio])
    assert logprobs.grad is not None
    slope = 0.1 * (k3 * ratio + ratio * (1 - math.exp(-0.5)))
    assert float(logprobs.grad) == pytest.approx(slope)
