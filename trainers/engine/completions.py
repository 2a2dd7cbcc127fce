"""Attention of completion tokens to [own prompt | own beginning], by hand.

The two parts want different layouts: scores against the prompt are one product a group, over the
group's queries packed together; scores against a completion's own beginning are one product a row.
Each part is exponentiated in its own layout, and the sums meet token by token, so that rows of
different lengths cost little padding and nothing is joined or split on the way.

Shapes: n packed completion tokens, B groups, Q most completion tokens of a group, P longest prompt,
S rows, T longest row, H query heads, K key and value heads, g = H/K, C head width.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainers.engine.layout import Layout, Slots


class Masks:
    """Additive masks: padded prompt keys, and the future."""

    def __init__(self, layout: Layout, dtype: torch.dtype) -> None:
        device = layout.token_ids_N.device
        lowest = torch.finfo(dtype).min
        width = layout.completions.width
        at = torch.arange(width, device=device)
        self.future_TT = torch.zeros(width, width, dtype=dtype, device=device)
        self.future_TT.masked_fill_(at > at[:, None], lowest)
        self.prompt_BP: Tensor | None = None
        if layout.ragged_prompts:
            at = torch.arange(layout.prompts.width, device=device)
            beyond = at >= layout.prompt_lengths_B[:, None]
            self.prompt_BP = torch.zeros(beyond.shape, dtype=dtype, device=device)
            self.prompt_BP.masked_fill_(beyond, lowest)


def attend_completions(
    q_nHC: Tensor, k_nKC: Tensor, v_nKC: Tensor, keys_BPKC: Tensor, values_BPKC: Tensor,
    layout: Layout, masks: Masks,
) -> Tensor:  # fmt: skip
    """Attend with scaled queries of packed completion tokens; returns [n, H, C]."""
    if len(q_nHC) == 0:
        return q_nHC
    return _Attend.apply(q_nHC, k_nKC, v_nKC, keys_BPKC, values_BPKC, layout, masks)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor,
        layout: Layout, masks: Masks,
    ) -> Tensor:  # fmt: skip
        kv = k.shape[1]
        group, row = _Heads(layout.by_group, kv), _Heads(layout.completions, kv)
        keys_BKPC, values_BKPC = keys.transpose(1, 2), values.transpose(1, 2)
        own_k, own_v = row.pad(k), row.pad(v)
        to_prompt = group.pad(q) @ keys_BKPC.transpose(-1, -2)
        to_own = row.pad(q) @ own_k.transpose(-1, -2)
        if masks.prompt_BP is not None:
            to_prompt += masks.prompt_BP[:, None, None]
        to_own.unflatten(2, (-1, q.shape[1] // kv)).add_(masks.future_TT[:, None])
        highest = torch.maximum(
            group.unpad(to_prompt.amax(-1, keepdim=True)), row.unpad(to_own.amax(-1, keepdim=True))
        )
        to_prompt.sub_(group.pad(highest)).exp_()
        to_own.sub_(row.pad(highest)).exp_()
        total = group.unpad(to_prompt.sum(-1, keepdim=True, dtype=torch.float32))
        total += row.unpad(to_own.sum(-1, keepdim=True, dtype=torch.float32))
        out = group.unpad(to_prompt @ values_BKPC) + row.unpad(to_own @ own_v)
        out = (out / total).to(v.dtype)
        ctx.save_for_backward(q, k, v, keys, values, to_prompt, to_own, total, out)
        ctx.group, ctx.row = group, row
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, keys, values, to_prompt, to_own, total, out = ctx.saved_tensors
        group, row = ctx.group, ctx.row
        grad = grad / total
        share = (grad * out).sum(-1, keepdim=True).to(v.dtype)
        grad = grad.to(v.dtype)
        grad_q, grad_keys, grad_values = _backward_part(
            group, to_prompt, q, keys.transpose(1, 2), values.transpose(1, 2), grad, share
        )
        own_q, grad_k, grad_v = _backward_part(
            row, to_own, q, row.pad(k), row.pad(v), grad, share
        )  # fmt: skip
        return (
            grad_q + own_q, row.unpad(grad_k), row.unpad(grad_v),
            grad_keys.transpose(1, 2), grad_values.transpose(1, 2), None, None,
        )  # fmt: skip


def _backward_part(
    heads: "_Heads", weights: Tensor, q: Tensor, keys: Tensor, values: Tensor, grad: Tensor,
    share: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of packed queries, and of padded keys and values, through one part's scores."""
    padded = heads.pad(grad)
    grad_values = weights.transpose(-1, -2) @ padded
    scores = (padded @ values.transpose(-1, -2)).sub_(heads.pad(share)).mul_(weights)
    return heads.unpad(scores @ keys), scores.transpose(-1, -2) @ heads.pad(q), grad_values


class _Heads:
    """Packed tokens [n, K*g, c] to rows of queries by key head [rows, K, width*g, c], and back."""

    def __init__(self, slots: Slots, kv: int) -> None:
        self.slots, self.kv = slots, kv

    def pad(self, packed: Tensor) -> Tensor:
        """Lay out."""
        padded = self.slots.pad(packed)
        rows, width, heads, c = padded.shape
        by_head = padded.view(rows, width, self.kv, heads // self.kv, c).transpose(1, 2)
        return by_head.reshape(rows, self.kv, -1, c)

    def unpad(self, padded: Tensor) -> Tensor:
        """Undo `pad`."""
        by_head = padded.unflatten(2, (self.slots.width, -1)).transpose(1, 2)
        return self.slots.unpad(by_head.flatten(2, 3))
