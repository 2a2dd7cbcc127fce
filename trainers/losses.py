"""The GRPO family of losses on packed tokens.

Definitions follow TRL 1.16's GRPOTrainer, against which tests compare losses and gradients:
GRPO (Shao et al. 2024, arXiv 2402.03300, eq. 3), BNPO and Dr. GRPO (Liu et al. 2025, arXiv
2503.20783), DAPO (Yu et al. 2025, arXiv 2503.14476, eq. 8), the k3 estimate of the KL divergence
(Schulman 2020).

Shapes: M completion tokens, completion after completion; S completions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossScale:
    """What a loss is divided by, counted over the whole optimizer step and all its workers."""

    num_tokens: int
    """Tokens in the loss: completion tokens less those of masked completions."""
    num_completions: int
    """Completions sampled for the step, masked ones and zero-variance groups included."""


@dataclass(frozen=True)
class LossConfig:
    """The part of a GRPO config that the loss depends on."""

    loss_type: str
    epsilon: float
    epsilon_high: float
    beta: float
    max_completion_length: int


@dataclass(frozen=True)
class TokenTerms:
    """Per-token terms and what is logged of them, [M] each."""

    loss_M: Tensor
    clipped_M: Tensor
    kl_M: Tensor | None


def token_terms(
    config: LossConfig, logprobs_M: Tensor, advantages_M: Tensor, old_M: Tensor | None,
    reference_M: Tensor | None,
) -> TokenTerms:  # fmt: skip
    """Return the clipped surrogate of each token, with the KL penalty where beta is above 0.

    `old_M` None means on-policy: the ratio is 1 and only its gradient counts.
    """
    old_M = logprobs_M.detach() if old_M is None else old_M
    ratio = torch.exp(logprobs_M - old_M)
    low, high = 1 - config.epsilon, 1 + config.epsilon_high
    loss = -torch.min(ratio * advantages_M, ratio.clamp(low, high) * advantages_M)
    clipped = ((ratio < low) & (advantages_M < 0)) | ((ratio > high) & (advantages_M > 0))
    kl = None
    if reference_M is not None:
        difference = reference_M - logprobs_M
        kl = torch.exp(difference) - difference - 1
        loss = loss + config.beta * kl * ratio
    return TokenTerms(loss, clipped, None if kl is None else kl.detach())


def reduce_loss(
    config: LossConfig, loss_M: Tensor, kept_M: Tensor, lengths_S: Tensor, scale: LossScale
) -> Tensor:
    """Sum per-token losses into this worker's share of the step's loss.

    `kept_M` is 0 for tokens of masked completions. The shares of all micro-batches and workers add
    up to the loss of the step, whatever groups were skipped.
    """
    masked_M = loss_M * kept_M
    if config.loss_type in ("dapo", "bnpo"):
        return masked_M.sum() / max(scale.num_tokens, 1)
    if config.loss_type == "dr_grpo":
        return masked_M.sum() / (scale.num_completions * config.max_completion_length)
    per_token = 1.0 / lengths_S.to(loss_M.dtype)
    weights_M = per_token.repeat_interleave(lengths_S)
    return (masked_M * weights_M).sum() / scale.num_completions
