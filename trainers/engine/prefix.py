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
from trainers.engine.completions import Masks, attend_completions
from trainers.engine.decoder import Block, Decoder, Rope
from trainers.engine.layout import Layout


def forward_groups(decoder: Decoder, layout: Layout, recompute: bool = False) -> Tensor:
    """Return the hidden states that predict `layout.targets_M`, after the final norm: [M, D].

    With `recompute`, each layer's activations are made again in the backward pass.
    """
    x_ND = decoder.embed(layout.token_ids_N)
    rope = decoder.rope(x_ND, layout.positions_N)
    masks = Masks(layout, decoder.compute_dtype)
    for block in decoder.blocks[:-1]:
        if recompute:
            x_ND = checkpoint(
                _layer, decoder, block, x_ND, rope, layout, masks, use_reentrant=False
            )
        else:
            x_ND = _layer(decoder, block, x_ND, rope, layout, masks)
    x_ND = _last_layer(decoder, decoder.blocks[-1], x_ND, rope, layout, masks)
    return decoder.norm(decoder.final_norm, x_ND.index_select(0, layout.sources_M))


def _layer(
    decoder: Decoder, block: Block, x_ND: Tensor, rope: Rope, layout: Layout, masks: Masks
) -> Tensor:
    weights = decoder.weights(block)
    h_ND = decoder.norm(block.input_norm, x_ND)
    parts = _parts(layout, layout.num_prompt_tokens, x_ND)
    (prompt_q, q, filler), (prompt_k, k, _), (prompt_v, v, _) = (
        x.split(parts) for x in decoder.attention_inputs(block, weights, h_ND, rope)
    )
    keys, values = layout.prompts.pad(prompt_k), layout.prompts.pad(prompt_v)
    from_prompt = causal_attention(layout.prompts.pad(prompt_q), keys, values)
    from_completions = attend_completions(q, k, v, keys, values, layout, masks)
    from_prompt = layout.prompts.unpad(from_prompt)
    attended = torch.cat((from_prompt, from_completions, torch.zeros_like(filler)))
    return decoder.after_attention(block, weights, x_ND, attended.flatten(1))


def _last_layer(
    decoder: Decoder, block: Block, x_ND: Tensor, rope: Rope, layout: Layout, masks: Masks
) -> Tensor:
    """Like `_layer`, for [last prompt tokens | completion tokens] alone: [A, D]."""
    weights = decoder.weights(block)
    h_ND = decoder.norm(block.input_norm, x_ND)
    parts = _parts(layout, layout.num_prompt_tokens, x_ND)
    (prompt_k, k, _), (prompt_v, v, _) = (
        x.split(parts) for x in decoder.keys_values(block, weights, h_ND, rope)
    )
    keys, values = layout.prompts.pad(prompt_k), layout.prompts.pad(prompt_v)
    asking_A, (cos, sin) = layout.asking_A, rope
    asked = decoder.queries(block, weights, h_ND[asking_A], (cos[asking_A], sin[asking_A]))
    last_q, q, filler = asked.split(_parts(layout, layout.num_groups, asked))
    from_last = _last_token_attention(decoder, last_q, keys, values, masks)
    from_completions = attend_completions(q, k, v, keys, values, layout, masks)
    attended = torch.cat((from_last, from_completions, torch.zeros_like(filler)))
    return decoder.after_attention(block, weights, x_ND[asking_A], attended.flatten(1))


def _parts(layout: Layout, num_prompt_tokens: int, x: Tensor) -> tuple[int, int, int]:
    """How many packed tokens are of prompts, of completions, and filler, which sees nothing."""
    fed = layout.num_completion_tokens
    return num_prompt_tokens, fed, len(x) - num_prompt_tokens - fed


def _last_token_attention(
    decoder: Decoder, q_BHC: Tensor, k: Tensor, v: Tensor, masks: Masks
) -> Tensor:
    """Attention of each prompt's last token to its prompt: [B, H, C]."""
    q_BKgC = q_BHC.unflatten(1, (decoder.num_kv_heads, decoder.heads_per_kv))
    scores_BKgP = q_BKgC @ k.permute(0, 2, 3, 1)
    if masks.prompt_BP is not None:
        scores_BKgP = scores_BKgP + masks.prompt_BP[:, None, None]
    weights = scores_BKgP.softmax(-1, dtype=torch.float32).to(v.dtype)
    return (weights @ v.transpose(1, 2)).flatten(1, 2)
