"""Log-probabilities and entropies of tokens, without keeping the logits.

The head is applied chunk by chunk and applied again in the backward pass: memory is one chunk of
logits, whatever the vocabulary and the number of tokens.

Shapes: M tokens, D hidden width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_LOGITS = 1 << 24
"""Logits held at once."""


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_MD: Tensor, weight_VD: Tensor, targets_M: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        logprobs, entropies = [], []
        for hidden, target in zip(*_chunks(hidden_MD, targets_M, weight_VD), strict=True):
            log_p = _log_softmax(hidden, weight_VD, temperature)
            logprobs.append(log_p.gather(1, target[:, None])[:, 0])
            entropies.append(-torch.linalg.vecdot(log_p.exp(), log_p))
        entropy_M = torch.cat(entropies)
        ctx.save_for_backward(hidden_MD, weight_VD, targets_M, entropy_M)
        ctx.temperature = temperature
        return torch.cat(logprobs), entropy_M

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_logprob_M: Tensor, grad_entropy_M: Tensor
    ) -> tuple[Tensor, Tensor, None, None]:
        hidden_MD, weight_VD, targets_M, entropy_M = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden_MD)
        grad_weight = torch.zeros_like(weight_VD, dtype=torch.float32)
        with_entropy = bool(grad_entropy_M.any())
        start = 0
        for hidden, target in zip(*_chunks(hidden_MD, targets_M, weight_VD), strict=True):
            stop = start + len(hidden)
            log_p = _log_softmax(hidden, weight_VD, ctx.temperature)
            p, g = log_p.exp(), grad_logprob_M[start:stop, None]
            grad_logits = -g * p
            if with_entropy:
                h = entropy_M[start:stop, None]
                grad_logits -= grad_entropy_M[start:stop, None] * p * (log_p + h)
            grad_logits.scatter_add_(1, target[:, None], g)
            grad_logits = grad_logits.div_(ctx.temperature).to(weight_VD.dtype)
            grad_hidden[start:stop] = (grad_logits @ weight_VD).to(hidden.dtype)
            grad_weight += grad_logits.T @ hidden.to(weight_VD.dtype)
            start = stop
        return grad_hidden, grad_weight.to(weight_VD.dtype), None, None


def token_logprobs(
    hidden_MD: Tensor, weight_VD: Tensor, targets_M: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return log-probability of each target and entropy of its distribution, [M] each, float32.

    Logits are hidden @ weight.T / temperature; both results carry gradients.
    """
    return _TokenLogprobs.apply(hidden_MD, weight_VD, targets_M, temperature)


def _chunks(
    hidden_MD: Tensor, targets_M: Tensor, weight_VD: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    size = max(1, CHUNK_LOGITS // len(weight_VD))
    return hidden_MD.split(size), targets_M.split(size)


def _log_softmax(hidden: Tensor, weight_VD: Tensor, temperature: float) -> Tensor:
    logits = (hidden.to(weight_VD.dtype) @ weight_VD.T).float()
    return (logits if temperature == 1.0 else logits / temperature).log_softmax(-1)
