"""Decoding a batch of groups: each prompt is read once, each finished row is dropped.

Prompt keys are kept once for all completions of a group and scored by one product a group; a
completion's own keys stand in a static buffer. When a fifth of the rows has finished, the buffers
are compacted. Sampling noise belongs to a row and position (trainers.engine.sampling), so that none
of this changes what is sampled.

Shapes: B groups, R rows a group, n = B*R rows, P longest prompt, L most tokens decoded, K key and
value heads, g query heads for each, C head width, V vocabulary.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.engine.attention import causal_attention
from trainers.engine.decoder import Block, Decoder
from trainers.engine.kernels import rms_norm
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


@dataclass
class _Cache:
    """Keys and values of one layer."""

    prompt_k_BKCP: Tensor
    prompt_v_BKPC: Tensor
    own_k_BKRLC: Tensor
    own_v_BKRLC: Tensor


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
    rows = uniforms.shape[1]
    with decoder.held_weights():
        state = _prefill(decoder, prompts, rows, sampling.max_new_tokens)
        run = _Decoding(decoder, state, uniforms, sampling, greedy)
        for position in range(sampling.max_new_tokens):
            if not run.step(position):
                break
    return run.completions()


class _State:
    """What decoding carries: caches, the logits to pick from, and the length of each prompt."""

    def __init__(self, caches: list[_Cache], logits_BRV: Tensor, prompt_lengths_B: Tensor) -> None:
        self.caches = caches
        self.logits_BRV = logits_BRV
        self.prompt_lengths_B = prompt_lengths_B
        width = caches[0].prompt_k_BKCP.shape[-1]
        at = torch.arange(width, device=prompt_lengths_B.device)
        beyond = at >= prompt_lengths_B[:, None]
        self.hide_BP: Tensor | None = None
        if bool(beyond.any()):
            dtype = caches[0].prompt_k_BKCP.dtype
            hide = torch.zeros(beyond.shape, dtype=dtype, device=beyond.device)
            self.hide_BP = hide.masked_fill_(beyond, torch.finfo(dtype).min)


def _prefill(
    decoder: Decoder, prompts: Sequence[Sequence[int]], rows: int, capacity: int
) -> _State:
    device = decoder.embed.weight.device
    lengths = torch.tensor([len(p) for p in prompts])
    b, width = len(prompts), int(lengths.max())
    padded = torch.zeros(b, width, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        padded[i, : len(prompt)] = torch.as_tensor(prompt)
    lengths, x = lengths.to(device), decoder.embed(padded.to(device).flatten())
    rope = decoder.rope(x, torch.arange(width, device=device).repeat(b))
    last = torch.arange(b, device=device) * width + lengths - 1
    caches = []
    for block in decoder.blocks:
        h = rms_norm(block.input_norm, x)
        k, v = decoder.keys_values(block, h, rope)
        k, v = k.unflatten(0, (b, width)), v.unflatten(0, (b, width))
        caches.append(_cache(k, v, rows, capacity))
        q = decoder.queries(block, h, rope).unflatten(0, (b, width))
        attended = causal_attention(q, k, v, decoder.scale).flatten(0, 1).flatten(1)
        if block is decoder.blocks[-1]:
            x, attended = x[last], attended[last]
        x = decoder.after_attention(block, x, attended)
    logits_BV = decoder.linear(decoder.head, rms_norm(decoder.final_norm, x))
    return _State(caches, logits_BV[:, None].expand(-1, rows, -1), lengths)


def _cache(k_BPKC: Tensor, v_BPKC: Tensor, rows: int, capacity: int) -> _Cache:
    b, _, kv, c = k_BPKC.shape
    return _Cache(
        prompt_k_BKCP=k_BPKC.permute(0, 2, 3, 1).contiguous(),
        prompt_v_BKPC=v_BPKC.transpose(1, 2).contiguous(),
        own_k_BKRLC=k_BPKC.new_empty(b, kv, rows, capacity, c),
        own_v_BKRLC=k_BPKC.new_empty(b, kv, rows, capacity, c),
    )


class _Decoding:
    """The loop's state: which row stands in which slot, and what each has sampled."""

    def __init__(
        self, decoder: Decoder, state: _State, uniforms: np.ndarray, sampling: Sampling,
        greedy: Sequence[int],
    ) -> None:  # fmt: skip
        b, rows, _ = uniforms.shape
        device = state.logits_BRV.device
        self.decoder, self.state, self.sampling = decoder, state, sampling
        self.uniform_BRL = torch.from_numpy(uniforms).to(device)
        self.row_BR = torch.arange(b * rows, device=device).view(b, rows)
        self.alive_BR = torch.ones(b, rows, dtype=torch.bool, device=device)
        is_greedy = torch.zeros(rows, dtype=torch.bool, device=device)
        is_greedy[list(greedy)] = True
        self.greedy_BR = is_greedy.expand(b, rows) if greedy else None
        self.eos = torch.tensor(sorted(sampling.eos_token_ids), device=device)
        shape, length = (b * rows,), sampling.max_new_tokens
        self.tokens_nL = torch.zeros(*shape, length, dtype=torch.long, device=device)
        self.logprobs_nL = torch.zeros(*shape, length, device=device)
        self.length_n = torch.zeros(shape, dtype=torch.long, device=device)
        self.ended_n = torch.zeros(shape, dtype=torch.bool, device=device)
        self.num_samples = rows

    def step(self, position: int) -> bool:
        """Pick each row's token at `position` and compute the next logits; False when all ended."""
        tokens_BR = self._pick(position)
        if not bool(self.alive_BR.any()) or position + 1 == self.sampling.max_new_tokens:
            return False
        tokens_BR = self._compact(tokens_BR)
        self.state.logits_BRV = _forward(self.decoder, self.state, tokens_BR, position)
        return True

    def _pick(self, position: int) -> Tensor:
        shape = self.row_BR.shape
        greedy = None if self.greedy_BR is None else self.greedy_BR.flatten()
        token_n, logprob_n = pick(
            self.state.logits_BRV.flatten(0, 1), self.uniform_BRL[:, :, position].flatten(), greedy,
            self.sampling.temperature, self.sampling.top_p,
        )  # fmt: skip
        live = self.row_BR[self.alive_BR]
        tokens_BR, logprobs_BR = token_n.view(shape), logprob_n.view(shape)
        self.tokens_nL[live, position] = tokens_BR[self.alive_BR]
        self.logprobs_nL[live, position] = logprobs_BR[self.alive_BR]
        self.length_n[live] = position + 1
        ends_BR = torch.isin(tokens_BR, self.eos) & self.alive_BR
        self.ended_n[self.row_BR[ends_BR]] = True
        self.alive_BR = self.alive_BR & ~ends_BR
        return tokens_BR

    def _compact(self, tokens_BR: Tensor) -> Tensor:
        """Drop groups and columns in which no row decodes any more, where that frees enough."""
        per_group = self.alive_BR.sum(1)
        groups = per_group.nonzero()[:, 0]
        rows = int(per_group.max())
        if len(groups) * rows > COMPACT_AT * self.alive_BR.numel():
            return tokens_BR
        order_BR = (~self.alive_BR[groups]).to(torch.uint8).argsort(dim=1, stable=True)[:, :rows]

        def keep(x_BR: Tensor) -> Tensor:
            picked = x_BR[groups]
            index = order_BR.view(*order_BR.shape, *[1] * (picked.dim() - 2))
            return picked.gather(1, index.expand(-1, -1, *picked.shape[2:]))

        self.row_BR, self.alive_BR = keep(self.row_BR), keep(self.alive_BR)
        self.uniform_BRL = keep(self.uniform_BRL)
        if self.greedy_BR is not None:
            self.greedy_BR = keep(self.greedy_BR)
        _keep_caches(self.state, groups, order_BR)
        return keep(tokens_BR)

    def completions(self) -> list[list[Completion]]:
        """Return what was sampled, a list for each prompt."""
        lengths, ended = self.length_n.tolist(), self.ended_n.tolist()
        tokens, logprobs = self.tokens_nL.tolist(), self.logprobs_nL.tolist()
        flat = [
            Completion(t[:n], p[:n], not e)
            for t, p, n, e in zip(tokens, logprobs, lengths, ended, strict=True)
        ]
        return [flat[i : i + self.num_samples] for i in range(0, len(flat), self.num_samples)]


def _keep_caches(state: _State, groups: Tensor, order_BR: Tensor) -> None:
    for cache in state.caches:
        cache.prompt_k_BKCP = cache.prompt_k_BKCP[groups]
        cache.prompt_v_BKPC = cache.prompt_v_BKPC[groups]
        for name in ("own_k_BKRLC", "own_v_BKRLC"):
            picked = getattr(cache, name)[groups]
            index = order_BR[:, None, :, None, None].expand(
                -1, picked.shape[1], -1, *picked.shape[3:]
            )
            setattr(cache, name, picked.gather(2, index))
    state.prompt_lengths_B = state.prompt_lengths_B[groups]
    if state.hide_BP is not None:
        state.hide_BP = state.hide_BP[groups]


def _forward(decoder: Decoder, state: _State, tokens_BR: Tensor, position: int) -> Tensor:
    """Feed one token a row, at `position` of its completion; return logits [B, R, V]."""
    b, r = tokens_BR.shape
    x = decoder.embed(tokens_BR.flatten())
    at = (state.prompt_lengths_B + position)[:, None].expand(b, r).flatten()
    rope = decoder.rope(x, at)
    for block, cache in zip(decoder.blocks, state.caches, strict=True):
        attended = _attend(decoder, block, cache, state.hide_BP, x, rope, (b, r), position)
        x = decoder.after_attention(block, x, attended)
    logits = decoder.linear(decoder.head, rms_norm(decoder.final_norm, x))
    return logits.unflatten(0, (b, r))


def _attend(
    decoder: Decoder, block: Block, cache: _Cache, hide_BP: Tensor | None, x: Tensor,
    rope: tuple[Tensor, Tensor], shape: tuple[int, int], position: int,
) -> Tensor:  # fmt: skip
    """Attention of one token a row to its prompt and its own tokens so far: [n, H*C]."""
    (b, r), kv, g = shape, decoder.num_kv_heads, decoder.heads_per_kv
    h = rms_norm(block.input_norm, x)
    k, v = decoder.keys_values(block, h, rope)
    cache.own_k_BKRLC[:, :, :, position] = k.unflatten(0, shape).transpose(1, 2)
    cache.own_v_BKRLC[:, :, :, position] = v.unflatten(0, shape).transpose(1, 2)
    own_k = cache.own_k_BKRLC[:, :, :, : position + 1]
    own_v = cache.own_v_BKRLC[:, :, :, : position + 1]
    q = decoder.queries(block, h, rope).view(b, r, kv, g, -1).transpose(1, 2) * decoder.scale
    q_BKRgC = q.contiguous()
    to_prompt = q_BKRgC.view(b, kv, r * g, -1) @ cache.prompt_k_BKCP
    if hide_BP is not None:
        to_prompt = to_prompt + hide_BP[:, None, None]
    width = to_prompt.shape[-1]
    to_own = q_BKRgC @ own_k.transpose(-1, -2)
    scores = torch.cat((to_prompt.view(b, kv, r, g, width), to_own), dim=-1)
    weights = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
    on_prompt = weights[..., :width].reshape(b, kv, r * g, width)
    out = (on_prompt @ cache.prompt_v_BKPC).view(b, kv, r, g, -1) + weights[..., width:] @ own_v
    return out.transpose(1, 2).reshape(b * r, -1)
