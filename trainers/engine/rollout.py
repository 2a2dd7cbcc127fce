"""Decoding a batch of groups: each prompt is read once, each finished row is dropped.

Prompt keys are kept once for all completions of a group and scored by one product a group; a
completion's own keys stand in a buffer of their own (trainers.engine.cache). When a fifth of the
rows has finished, the buffers are compacted. Sampling noise belongs to a row and position
(trainers.engine.sampling), so that none of this changes what is sampled.

Shapes: B groups, R rows a group, n = B*R rows, L most tokens decoded, V vocabulary.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.engine.attention import causal_attention
from trainers.engine.cache import Cache, layer_cache
from trainers.engine.decoder import Decoder, Weights
from trainers.engine.sampling import pick

COMPACT_AT = 0.8
"""Compact when at most this share of the rows in the buffers is still decoding."""


@dataclass(frozen=True)
class Completion:
    """Sampled tokens, the end token included, and the log-probability of each when sampled."""

    token_ids: list[int]
    logprobs: list[float]
    truncated: bool
    """Whether it was cut at the longest length, without an end token."""


@dataclass(frozen=True)
class Sampling:
    """How to decode."""

    max_new_tokens: int
    eos_token_ids: Collection[int]
    temperature: float = 1.0
    top_p: float = 1.0


@torch.no_grad()
def generate(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    uniforms: np.ndarray,
    sampling: Sampling,
    greedy: Sequence[int] = (),
) -> list[list[Completion]]:
    """Decode rows [B, R] for `prompts` (B) with `uniforms` [B, R, L]; rows in `greedy` are argmax.

    Returns R completions for each prompt, in order.
    """
    weights = [decoder.weights(block) for block in decoder.blocks]
    cache, logits_nV = _prefill(decoder, weights, prompts, uniforms.shape[1])
    run = _Decoding(decoder, cache, uniforms, sampling, greedy)
    for position in range(sampling.max_new_tokens):
        tokens_BR = run.pick(logits_nV, position)
        if tokens_BR is None:
            break
        logits_nV = _forward(decoder, weights, cache, tokens_BR, position)
    return run.completions()


def _prefill(
    decoder: Decoder, weights: Sequence[Weights], prompts: Sequence[Sequence[int]], rows: int
) -> tuple[Cache, Tensor]:
    """Read the prompts; return what is remembered, and the logits of each row's first token."""
    device = decoder.embed.weight.device
    lengths = torch.tensor([len(p) for p in prompts])
    b, width = len(prompts), int(lengths.max())
    padded = torch.zeros(b, width, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        padded[i, : len(prompt)] = torch.as_tensor(prompt)
    lengths, x = lengths.to(device), decoder.embed(padded.to(device).flatten())
    rope = decoder.rope(x, torch.arange(width, device=device).repeat(b))
    last = torch.arange(b, device=device) * width + lengths - 1
    layers = []
    for block, joined in zip(decoder.blocks, weights, strict=True):
        h = decoder.norm(block.input_norm, x)
        q, k, v = (
            y.unflatten(0, (b, width)) for y in decoder.attention_inputs(block, joined, h, rope)
        )
        layers.append(layer_cache(k, v, rows))
        attended = causal_attention(q, k, v).flatten(0, 1).flatten(1)
        if block is decoder.blocks[-1]:
            x, attended = x[last], attended[last]
        x = decoder.after_attention(block, joined, x, attended)
    logits_BV = decoder.logits(x)
    return Cache(layers, lengths), logits_BV.repeat_interleave(rows, 0)


def _forward(
    decoder: Decoder, weights: Sequence[Weights], cache: Cache, tokens_BR: Tensor, position: int
) -> Tensor:
    """Feed one token a row, at `position` of its completion; return logits [n, V]."""
    cache.make_room(position)
    x = decoder.embed(tokens_BR.flatten())
    at = (cache.lengths_B + position).repeat_interleave(tokens_BR.shape[1])
    rope = decoder.rope(x, at)
    for block, joined, layer in zip(decoder.blocks, weights, cache.layers, strict=True):
        h = decoder.norm(block.input_norm, x)
        q, k, v = decoder.attention_inputs(block, joined, h, rope)
        x = decoder.after_attention(block, joined, x, cache.attend(layer, q, k, v, position))
    return decoder.logits(x)


class _Decoding:
    """The loop's state: which row stands in which slot, and what each has sampled."""

    def __init__(
        self, decoder: Decoder, cache: Cache, uniforms: np.ndarray, sampling: Sampling,
        greedy: Sequence[int],
    ) -> None:  # fmt: skip
        b, self.num_samples = uniforms.shape[:2]
        device = cache.lengths_B.device
        self.cache, self.sampling = cache, sampling
        self.uniform_BRL = torch.from_numpy(uniforms).to(device)
        self.row_BR = torch.arange(b * self.num_samples, device=device).view(b, -1)
        self.alive_BR = torch.ones_like(self.row_BR, dtype=torch.bool)
        is_greedy = torch.zeros(self.num_samples, dtype=torch.bool, device=device)
        is_greedy[list(greedy)] = True
        self.greedy_BR = is_greedy.expand(b, -1) if greedy else None
        self.ends_V = torch.zeros(decoder.head.out_features, dtype=torch.bool, device=device)
        self.ends_V[[t for t in sampling.eos_token_ids if t < len(self.ends_V)]] = True
        shape = (sampling.max_new_tokens, b * self.num_samples)
        self.tokens_Ln = torch.zeros(shape, dtype=torch.long, device=device)
        self.logprobs_Ln = torch.zeros(shape, device=device)
        self.num_positions = 0

    def pick(self, logits_nV: Tensor, position: int) -> Tensor | None:
        """Pick each row's token at `position`; return what to feed, or None at the end."""
        greedy = None if self.greedy_BR is None else self.greedy_BR.flatten()
        token_n, logprob_n = pick(
            logits_nV, self.uniform_BRL[:, :, position].flatten(), greedy,
            self.sampling.temperature, self.sampling.top_p,
        )  # fmt: skip
        # A row that has ended goes on until its slot is dropped: `completions` cuts what it says.
        row_n = self.row_BR.flatten()
        self.tokens_Ln[position].index_copy_(0, row_n, token_n)
        self.logprobs_Ln[position].index_copy_(0, row_n, logprob_n)
        self.num_positions = position + 1
        tokens_BR = token_n.view_as(self.row_BR)
        self.alive_BR = self.alive_BR & ~self.ends_V[tokens_BR]
        per_group = self.alive_BR.sum(1).tolist()
        if not any(per_group) or position + 1 == self.sampling.max_new_tokens:
            return None
        return self._compact(tokens_BR, per_group)

    def _compact(self, tokens_BR: Tensor, per_group: list[int]) -> Tensor:
        """Drop groups and columns in which no row decodes any more, where that frees enough."""
        alive_groups = [i for i, count in enumerate(per_group) if count]
        rows = max(per_group)
        if len(alive_groups) * rows > COMPACT_AT * self.alive_BR.numel():
            return tokens_BR
        groups = torch.tensor(alive_groups, device=tokens_BR.device)
        order_BR = (~self.alive_BR[groups]).to(torch.uint8).argsort(dim=1, stable=True)[:, :rows]

        def keep(x_BR: Tensor) -> Tensor:
            picked = x_BR[groups]
            index = order_BR.view(*order_BR.shape, *[1] * (picked.dim() - 2))
            return picked.gather(1, index.expand(-1, -1, *picked.shape[2:]))

        self.row_BR, self.alive_BR = keep(self.row_BR), keep(self.alive_BR)
        self.uniform_BRL = keep(self.uniform_BRL)
        if self.greedy_BR is not None:
            self.greedy_BR = keep(self.greedy_BR)
        self.cache.keep(groups, order_BR)
        return keep(tokens_BR)

    def completions(self) -> list[list[Completion]]:
        """Return what was sampled, a list for each prompt."""
        tokens_nL = self.tokens_Ln[: self.num_positions].T
        ends_nL = self.ends_V[tokens_nL]
        ended = ends_nL.any(1).tolist()
        first_n = ends_nL.to(torch.uint8).argmax(1).tolist()
        logprobs = self.logprobs_Ln[: self.num_positions].T.tolist()
        lengths = [n + 1 if e else len(p) for n, e, p in zip(first_n, ended, logprobs, strict=True)]
        flat = [
            Completion(t[:n], p[:n], not e)
            for t, p, n, e in zip(tokens_nL.tolist(), logprobs, lengths, ended, strict=True)
        ]
        return [flat[i : i + self.num_samples] for i in range(0, len(flat), self.num_samples)]
