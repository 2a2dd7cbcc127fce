"""One view of Llama, Qwen2 and Qwen3 decoders: the dense half of a block, on packed tokens.

The engine keeps tokens packed, without padding, wherever tokens do not look at each other, and
lays them out in groups only inside attention. This module holds what works on packed tokens, and
says which models the engine can serve.

Shapes: N packed tokens, D hidden width, H query heads, K key and value heads, C width of a head.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainers.engine.kernels import linear, rms_norm, rotate, swiglu

Rope = tuple[Tensor, Tensor]
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
    query_norm: Any
    key_norm: Any
    output: nn.Linear
    feed_norm: nn.Module
    gate: nn.Linear
    up: nn.Linear
    down: nn.Linear


@dataclass(frozen=True)
class Weights:
    """One layer's weights as products want them: joined, in the type of computation.

    The scale of attention is folded into what makes queries, so that no token is multiplied by it.
    """

    attention: tuple[Tensor, Tensor | None]
    """Weight and bias of queries, keys and values, in this order."""
    head_norm: Tensor | None
    """Weights [H+K, C] of the norms of query and key heads."""
    output: tuple[Tensor, Tensor | None]
    gate_up: tuple[Tensor, Tensor | None]
    down: tuple[Tensor, Tensor | None]


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

    def weights(self, block: Block) -> Weights:
        """Join and cast the weights of a layer; gradients flow back to the model's own."""
        q, k, v = (self._cast(m) for m in (block.query, block.key, block.value))
        head_norm = None
        if block.query_norm is None:
            q = q[0] * self.scale, None if q[1] is None else q[1] * self.scale
        else:
            heads = (block.query_norm.weight * self.scale).expand(self.num_heads, -1)
            head_norm = torch.cat((heads, block.key_norm.weight.expand(self.num_kv_heads, -1)))
        return Weights(
            _join(q, k, v), head_norm, self._cast(block.output),
            _join(self._cast(block.gate), self._cast(block.up)), self._cast(block.down),
        )  # fmt: skip

    def _cast(self, module: nn.Linear) -> tuple[Tensor, Tensor | None]:
        bias = None if module.bias is None else module.bias.to(self.compute_dtype)
        return module.weight.to(self.compute_dtype), bias

    def head_weight(self) -> Tensor:
        """Weight [V, D] of the head in the type of computation."""
        return self.head.weight.to(self.compute_dtype)

    def logits(self, x_ND: Tensor) -> Tensor:
        """Apply the final norm and the head: [N, V]."""
        return linear(self.norm(self.final_norm, x_ND), self.head_weight(), None)

    def norm(self, module: Any, x_ND: Tensor) -> Tensor:
        """Apply an RMSNorm module; the result has the type of computation."""
        return rms_norm(
            x_ND, module.weight, module.variance_epsilon, self.compute_dtype
        )  # fmt: skip

    @property
    def heads_per_kv(self) -> int:
        """Query heads that share one key and value head."""
        return self.num_heads // self.num_kv_heads

    def rope(self, like: Tensor, positions_N: Tensor) -> Rope:
        """Return cosines and sines [N, 1, C] for rotary embedding at `positions_N`."""
        cos, sin = self.rotary(like, positions_N[None])
        dtype = self.compute_dtype
        return cos[0].unsqueeze(1).to(dtype), sin[0].unsqueeze(1).to(dtype)

    def attention_inputs(
        self, block: Block, weights: Weights, h_ND: Tensor, rope: Rope
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Project normed tokens to rotated and scaled queries [N, H, C], keys and values."""
        heads = self.num_heads, self.num_kv_heads
        joined = linear(h_ND, *weights.attention).unflatten(-1, (-1, self.head_dim))
        qk, v = joined.split((sum(heads), heads[1]), dim=1)
        q, k = self._rotated(block, weights.head_norm, qk, rope).split(heads, dim=1)
        return q, k, v

    def keys_values(
        self, block: Block, weights: Weights, h_ND: Tensor, rope: Rope
    ) -> tuple[Tensor, Tensor]:
        """Project normed tokens to rotated keys and values alone, [N, K, C] each."""
        width = self.num_heads * self.head_dim
        joined = linear(h_ND, *_rows(weights.attention, slice(width, None)))
        k, v = joined.unflatten(-1, (2, self.num_kv_heads, self.head_dim)).unbind(1)
        norm = None if weights.head_norm is None else weights.head_norm[self.num_heads :]
        return self._rotated(block, norm, k, rope), v

    def queries(self, block: Block, weights: Weights, h_ND: Tensor, rope: Rope) -> Tensor:
        """Project normed tokens to rotated and scaled queries alone, [N, H, C]."""
        width = self.num_heads * self.head_dim
        q = linear(h_ND, *_rows(weights.attention, slice(width)))
        norm = None if weights.head_norm is None else weights.head_norm[: self.num_heads]
        return self._rotated(block, norm, q.unflatten(-1, (-1, self.head_dim)), rope)

    def _rotated(self, block: Block, norm: Tensor | None, x: Tensor, rope: Rope) -> Tensor:
        if norm is not None:
            x = rms_norm(x, norm, block.query_norm.variance_epsilon, self.compute_dtype)
        return rotate(x, *rope)

    def after_attention(
        self, block: Block, weights: Weights, residual_ND: Tensor, attended: Tensor
    ) -> Tensor:
        """Close a block: output projection, feed-forward and both residuals; [N, D]."""
        x = residual_ND + linear(attended, *weights.output)
        h = swiglu(linear(self.norm(block.feed_norm, x), *weights.gate_up))
        return x + linear(h, *weights.down)


def _join(*parts: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    weights, biases = zip(*parts, strict=True)
    present = [bias for bias in biases if bias is not None]
    if not present:
        return torch.cat(weights), None
    zeros = (w.new_zeros(len(w)) if b is None else b for w, b in parts)
    return torch.cat(weights), torch.cat(tuple(zeros))


def _rows(linear: tuple[Tensor, Tensor | None], rows: slice) -> tuple[Tensor, Tensor | None]:
    weight, bias = linear
    return weight[rows], None if bias is None else bias[rows]


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
