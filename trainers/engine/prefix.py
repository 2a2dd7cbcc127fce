"""Shared-prefix training: one forward over a prompt and all its completions.

A trainer that lays each completion beside its own copy of the prompt computes every prompt G times.
Here a group's prompt is computed once; completions attend to it and to their own beginning, their
positions restart at the prompt's end, and the prompt's last position predicts every first token.
The numbers are those of separate rows; only the work differs.

In the last layer a prompt serves as keys and values alone, but for its last token.

Shapes: see trainers.engine.layout; further D hidden width, H query heads, K key and value heads,
g = H/K, C head width.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trainers.engine.attention import causal_attention
from trainers.engine.decoder import Block, Decoder
from trainers.engine.kernels import rms_norm
from trainers.engine.layout import Layout

Rope = tuple[Tensor, Tensor]


def forward_groups(decoder: Decoder, layout: Layout, recompute: bool = False) -> Tensor:
    """Return the hidden states that predict `layout.targets_M`, after the final norm: [M, D].

    With `recompute`, each layer's activations are made again in the backward pass.
    """
    x_ND = decoder.embed(layout.token_ids_N)
    rope = decoder.rope(x_ND, layout.positions_N)
    masks = _Masks(layout, decoder.compute_dtype)
    for block in decoder.blocks[:-1]:
        if recompute:
            x_ND = checkpoint(
                _layer, decoder, block, x_ND, rope, layout, masks, use_reentrant=False
            )
        else:
            x_ND = _layer(decoder, block, x_ND, rope, layout, masks)
    x_ND = _last_layer(decoder, decoder.blocks[-1], x_ND, rope, layout, masks)
    return rms_norm(decoder.final_norm, x_ND.index_select(0, layout.sources_M))


class _Masks:
    """Additive masks of completion scores: padded prompt keys, and the future."""

    def __init__(self, layout: Layout, dtype: torch.dtype) -> None:
        device = layout.token_ids_N.device
        lowest = torch.finfo(dtype).min
        width = layout.completions.width
        future = torch.ones(width, width, dtype=torch.bool, device=device).triu_(1)
        self.future_TT = torch.zeros(width, width, dtype=dtype, device=device)
        self.future_TT.masked_fill_(future, lowest)
        self.prompt_BP: Tensor | None = None
        if layout.ragged_prompts:
            at = torch.arange(layout.prompts.width, device=device)
            beyond = at >= layout.prompt_lengths_B[:, None]
            self.prompt_BP = torch.zeros(beyond.shape, dtype=dtype, device=device)
            self.prompt_BP.masked_fill_(beyond, lowest)


def _layer(
    decoder: Decoder, block: Block, x_ND: Tensor, rope: Rope, layout: Layout, masks: _Masks
) -> Tensor:
    h_ND = rms_norm(block.input_norm, x_ND)
    q = decoder.queries(block, h_ND, rope)
    k, v = decoder.keys_values(block, h_ND, rope)
    n = layout.num_prompt_tokens
    end = n + layout.num_completion_tokens
    keys, values = layout.prompts.pad(k[:n]), layout.prompts.pad(v[:n])
    from_prompt = causal_attention(layout.prompts.pad(q[:n]), keys, values, decoder.scale)
    from_completions = _completion_attention(
        decoder, q[n:end], k[n:end], v[n:end], keys, values, layout, masks
    )
    attended = torch.cat((layout.prompts.unpad(from_prompt), from_completions, _filler(q[end:])))
    return decoder.after_attention(block, x_ND, attended.flatten(1))


def _last_layer(
    decoder: Decoder, block: Block, x_ND: Tensor, rope: Rope, layout: Layout, masks: _Masks
) -> Tensor:
    """Like `_layer`, for [last prompt tokens | completion tokens] alone: [A, D]."""
    h_ND = rms_norm(block.input_norm, x_ND)
    n, b = layout.num_prompt_tokens, layout.num_groups
    end, last = n + layout.num_completion_tokens, b + layout.num_completion_tokens
    k, v = decoder.keys_values(block, h_ND, rope)
    keys, values = layout.prompts.pad(k[:n]), layout.prompts.pad(v[:n])
    cos, sin = rope
    asking_A = layout.asking_A
    q = decoder.queries(block, h_ND[asking_A], (cos[asking_A], sin[asking_A]))
    from_last = _last_token_attention(decoder, q[:b], keys, values, masks)
    from_completions = _completion_attention(
        decoder, q[b:last], k[n:end], v[n:end], keys, values, layout, masks
    )
    attended = torch.cat((from_last, from_completions, _filler(q[last:])))
    return decoder.after_attention(block, x_ND[asking_A], attended.flatten(1))


def _filler(q: Tensor) -> Tensor:
    """What filler tokens attend to: nothing."""
    return torch.zeros_like(q)


def _last_token_attention(
    decoder: Decoder, q_BHC: Tensor, k: Tensor, v: Tensor, masks: _Masks
) -> Tensor:
    """Attention of each prompt's last token to its prompt: [B, H, C]."""
    q_BKgC = q_BHC.unflatten(1, (decoder.num_kv_heads, decoder.heads_per_kv))
    scores_BKgP = q_BKgC @ k.permute(0, 2, 3, 1) * decoder.scale
    if masks.prompt_BP is not None:
        scores_BKgP = scores_BKgP + masks.prompt_BP[:, None, None]
    weights = scores_BKgP.softmax(-1, dtype=torch.float32).to(v.dtype)
    return (weights @ v.transpose(1, 2)).flatten(1, 2)


def _completion_attention(
    decoder: Decoder, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor,
    layout: Layout, masks: _Masks,
) -> Tensor:  # fmt: skip
    """Attention of completion tokens to [own prompt | own beginning]; packed in, packed out."""
    slots = layout.completions
    if slots.width == 0:
        return q
    b, r, t, p = layout.num_groups, layout.rows, slots.width, layout.prompts.width
    kv, g = decoder.num_kv_heads, decoder.heads_per_kv

    def by_head(x: Tensor) -> Tensor:  # packed [n, K, C] -> [B, K, R, T, C]
        return slots.pad(x).unflatten(0, (b, r)).permute(0, 3, 1, 2, 4)

    q_BRTKgC = slots.pad(q).view(b, r, t, kv, g, -1)
    q_BKRTgC = q_BRTKgC.permute(0, 3, 1, 2, 4, 5).contiguous() * decoder.scale
    to_prompt = q_BKRTgC.view(b, kv, r * t * g, -1) @ keys.permute(0, 2, 3, 1)
    to_own = q_BKRTgC.view(b, kv, r, t * g, -1) @ by_head(k).transpose(-1, -2)
    to_own = to_own.view(b, kv, r, t, g, t) + masks.future_TT[:, None]
    to_prompt = to_prompt.view(b, kv, r, t, g, p)
    if masks.prompt_BP is not None:
        to_prompt = to_prompt + masks.prompt_BP.view(b, 1, 1, 1, 1, p)
    scores = torch.cat((to_prompt, to_own), dim=-1)
    weights = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
    on_prompt, on_own = weights.split((p, t), dim=-1)
    out = on_prompt.reshape(b, kv, r * t * g, p) @ values.transpose(1, 2)
    own = on_own.reshape(b, kv, r, t * g, t) @ by_head(v)
    out_BKRTgC = out.view(b, kv, r, t, g, -1) + own.view(b, kv, r, t, g, -1)
    out = out_BKRTgC.permute(0, 2, 3, 1, 4, 5).reshape(b * r, t, kv * g, -1)
    return slots.unpad(out)
