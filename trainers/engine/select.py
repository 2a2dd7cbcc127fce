"""Pick the engine that serves a model: the fast one, or the plain one, saying so once."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trainers.engine.decoder import Decoder, unsupported_reason
from trainers.engine.layout import lay_out
from trainers.engine.logprobs import token_logprobs
from trainers.engine.plain import plain_generate, plain_logprobs
from trainers.engine.prefix import forward_groups
from trainers.engine.rollout import Completion, Sampling, generate

logger = logging.getLogger(__name__)
Prompts = Sequence[Sequence[int]]
_reported: set[str] = set()


class Engine(Protocol):
    """What a stage asks of a model."""

    def generate(
        self, prompts: Prompts, uniforms: np.ndarray, sampling: Sampling, greedy: Sequence[int] = ()
    ) -> list[list[Completion]]:
        """Decode rows [B, R] with noise [B, R, L]; rows in `greedy` take the likeliest token."""

    def logprobs(
        self, prompts: Prompts, completions: Sequence[Prompts], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of every completion token, [M] each, with gradients."""


class FastEngine:
    """Shared prompts, static keys, compaction: Llama, Qwen2 and Qwen3 models."""

    def __init__(self, model: Any, bf16: bool = False, recompute: bool = False) -> None:
        self.decoder = Decoder(model, bf16)
        self.recompute = recompute

    def generate(
        self, prompts: Prompts, uniforms: np.ndarray, sampling: Sampling, greedy: Sequence[int] = ()
    ) -> list[list[Completion]]:
        """Decode a batch of groups, each prompt read once."""
        return generate(self.decoder, prompts, uniforms, sampling, greedy)

    def logprobs(
        self, prompts: Prompts, completions: Sequence[Prompts], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Score completions in one forward in which each prompt stands once."""
        decoder = self.decoder
        layout = lay_out(prompts, completions, decoder.embed.weight.device)
        hidden_MD = forward_groups(decoder, layout, self.recompute)
        return token_logprobs(hidden_MD, decoder.head_weight(), layout.targets_M, temperature)


class PlainEngine:
    """The model's own forward, row by row."""

    def __init__(self, model: Any, bf16: bool = False) -> None:
        self.model = model
        self.bf16 = bf16

    def _autocast(self) -> torch.autocast:
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16)

    def generate(
        self, prompts: Prompts, uniforms: np.ndarray, sampling: Sampling, greedy: Sequence[int] = ()
    ) -> list[list[Completion]]:
        """Decode with the model's own cache."""
        with self._autocast():
            return plain_generate(self.model, prompts, uniforms, sampling, greedy)

    def logprobs(
        self, prompts: Prompts, completions: Sequence[Prompts], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Score completions, each beside its own copy of the prompt."""
        with self._autocast():
            return plain_logprobs(self.model, prompts, completions, temperature)


def make_engine(model: Any, bf16: bool = False, recompute: bool = False) -> Engine:
    """Return the fast engine where it can serve `model`, else the plain one with one warning."""
    reason = unsupported_reason(model)
    if reason is None:
        return FastEngine(model, bf16, recompute)
    if reason not in _reported:
        _reported.add(reason)
        logger.warning(
            "the fast engine does not serve this model (%s): using the plain one", reason
        )
    if recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return PlainEngine(model, bf16)
