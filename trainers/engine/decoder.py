"""One view of Llama, Qwen2 and Qwen3 decoders: the dense half of a block, on packed tokens.

The engine keeps tokens packed, without padding, wherever tokens do not look at each other, and
lays them out in groups only inside attention. This module holds what works on packed tokens, and
says which models the engine can serve.

Shapes: N packed tokens, D hidden width, H query heads, K key and value heads, C width of a head.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.engine.kernels import linear, rms_norm, rotate

FAMILIES = ("llama", "qwen2", "qwen3")


def unsupported_reason(model: nn.Module) -> str | None:
    """Say why the fast engine cannot serve `model`, or return None if it can."""
    config: Any = getattr(model, "config", None)
    family = getattr(config, "model_type", type(model).__name__)
    if family not in FAMILIES:
        return f"model_type {family} is not one of {', '.join(FAMILIES)}"
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return "it has sliding-window layers"
    if getattr(config, "attention_dropout", 0.0):
        return f"attention_dropout is {config.attention_dropout}, not 0"
    if config.hidden_act not in ("silu", "swish"):
        return f"hidden_act is {config.hidden_act}, not silu"
    if getattr(config, "pretraining_tp", 1) != 1:
        return "it is split for tensor parallelism"
    rope = config.rope_parameters or {}
    if rope.get("rope_type", "default") in ("dynamic", "longrope"):
        return f"rope_type {rope['rope_type']} changes with the length"
    plain = all(type(m) is nn.Linear for n, m in model.named_modules() if n.endswith("_proj"))
    return None if plain else "its projections are not plain linear layers (adapters, quantization)"


@dataclass(frozen=True)
class Block:
    """The modules of one decoder layer."""

    input_norm: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    query_norm: nn.Module | None
    key_norm: nn.Module | None
    output: nn.Linear
    feed_norm: nn.Module
    gate: nn.Linear
    up: nn.Linear
    down: nn.Linear


class Decoder:
    """A causal language model as the engine sees it; parameters stay the model's own."""

    def __init__(self, model: Any, bf16: bool = False) -> None:
        reason = unsupported_reason(model)
        if reason is not None:
            raise ValueError(f"model cannot run on the fast engine: {reason}")
        config = model.config
        self.model = model
        self.embed: nn.Embedding = model.model.embed_tokens
        self.final_norm: nn.Module = model.model.norm
        self.head: nn.Linear = model.lm_head
        self.rotary: nn.Module = model.model.rotary_emb
        self.blocks = [_block(layer) for layer in model.model.layers]
        self.num_heads: int = config.num_attention_heads
        self.num_kv_heads: int = config.num_key_value_heads
        self.head_dim: int = self.blocks[0].query.out_features // self.num_heads
        self.scale = self.head_dim**-0.5
        self.compute_dtype = torch.bfloat16 if bf16 else self.embed.weight.dtype
        self._held: dict[nn.Linear, tuple[Tensor, Tensor | None]] | None = None

    @contextmanager
    def held_weights(self) -> Iterator[None]:
        """Cast each weight once for all the products inside: for decoding, without gradients."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def weights(self, module: nn.Linear) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of a linear layer in the type of computation."""
        if self._held is not None and module in self._held:
            return self._held[module]
        bias = None if module.bias is None else module.bias.to(self.compute_dtype)
        cast = module.weight.to(self.compute_dtype), bias
        if self._held is not None:
            self._held[module] = cast
        return cast

    def linear(self, module: nn.Linear, x: Tensor) -> Tensor:
        """Apply a linear layer in the type of computation."""
        return linear(x.to(self.compute_dtype), *self.weights(module))

    @property
    def heads_per_kv(self) -> int:
        """Query heads that share one key and value head."""
        return self.num_heads // self.num_kv_heads

    def rope(self, like: Tensor, positions_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines [N, 1, C] for rotary embedding at `positions_N`."""
        cos, sin = self.rotary(like, positions_N[None])
        dtype = self.compute_dtype
        return cos[0].unsqueeze(1).to(dtype), sin[0].unsqueeze(1).to(dtype)

    def keys_values(self, block: Block, x_ND: Tensor, rope: Any) -> tuple[Tensor, Tensor]:
        """Project normed tokens to rotated keys and values, [N, K, C] each."""
        k = self.linear(block.key, x_ND).unflatten(-1, (self.num_kv_heads, self.head_dim))
        v = self.linear(block.value, x_ND).unflatten(-1, (self.num_kv_heads, self.head_dim))
        if block.key_norm is not None:
            k = rms_norm(block.key_norm, k)
        return rotate(k, *rope), v

    def queries(self, block: Block, x_ND: Tensor, rope: Any) -> Tensor:
        """Project normed tokens to rotated queries, [N, H, C]."""
        q = self.linear(block.query, x_ND).unflatten(-1, (self.num_heads, self.head_dim))
        if block.query_norm is not None:
            q = rms_norm(block.query_norm, q)
        return rotate(q, *rope)

    def after_attention(self, block: Block, residual_ND: Tensor, attended: Tensor) -> Tensor:
        """Close a block: output projection, feed-forward and both residuals; [N, D]."""
        x = residual_ND + self.linear(block.output, attended)
        h = rms_norm(block.feed_norm, x)
        h = F.silu(self.linear(block.gate, h)) * self.linear(block.up, h)
        return x + self.linear(block.down, h)


def _block(layer: Any) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    return Block(
        input_norm=layer.input_layernorm,
        query=attention.q_proj,
        key=attention.k_proj,
        value=attention.v_proj,
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        output=attention.o_proj,
        feed_norm=layer.post_attention_layernorm,
        gate=mlp.gate_proj,
        up=mlp.up_proj,
        down=mlp.down_proj,
    )
