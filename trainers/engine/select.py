"""Pick the engine that serves a model: the fast one, or the plain one, saying so once.

Before a model is used, what sampling says of a few tokens is held against what training says of
them: where the two differ, a policy gradient is of another model than the one that sampled.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
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
from trainers.engine.sampling import uniforms

logger = logging.getLogger(__name__)
Prompts = Sequence[Sequence[int]]
_reported: set[str] = set()
_chosen: dict[str, str] = {}
"""Which engine was found to agree with itself, by the model's config: checked once in a process."""

LARGEST_GAP = {torch.float32: 0.01, torch.bfloat16: 0.5}
"""Most nats by which sampling and training may differ in the mean over tokens: rounding does not
reach it (a logit of 30 is rounded by up to 0.06 in bfloat16), wrong positions or masks pass it."""
CHECK_STEP, CHECK_LENGTHS, CHECK_TOKENS = -3, (2, 5), 4
"""Key of the noise; lengths of the prompts, of which the shorter is padded; tokens sampled."""
FORWARD_ERRORS = (AttributeError, TypeError, ValueError, LookupError, RuntimeError)


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
    """The model's own forward, row by row, with or without its cache."""

    def __init__(self, model: Any, bf16: bool = False, cached: bool = True) -> None:
        self.model = model
        self.bf16 = bf16
        self.cached = cached

    def _autocast(self) -> torch.autocast:
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16)

    def generate(
        self, prompts: Prompts, uniforms: np.ndarray, sampling: Sampling, greedy: Sequence[int] = ()
    ) -> list[list[Completion]]:
        """Decode with the model's own cache, or reading each row anew for every token."""
        with self._autocast():
            return plain_generate(
                self.model, prompts, uniforms, sampling, greedy, cached=self.cached
            )

    def logprobs(
        self, prompts: Prompts, completions: Sequence[Prompts], temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Score completions, each beside its own copy of the prompt."""
        with self._autocast():
            return plain_logprobs(self.model, prompts, completions, temperature)


def make_engine(model: Any, bf16: bool = False, recompute: bool = False) -> Engine:
    """Return the fast engine where it can serve `model`, else the plain one with one warning.

    Raises ValueError where sampling and training do not agree on the model.
    """
    makers: dict[str, Callable[[], Engine]] = {
        "plain engine": lambda: PlainEngine(model, bf16),
        "plain engine without a cache": lambda: PlainEngine(model, bf16, cached=False),
    }
    reason = unsupported_reason(model)
    if reason is None:
        makers = {"fast engine": lambda: FastEngine(model, bf16, recompute), **makers}
    else:
        _report(f"the fast engine does not serve this model ({reason}): using the plain one")
    key = _model_key(model, bf16)
    if key not in _chosen:
        _chosen[key] = _first_that_agrees(model, makers, bf16)
    engine = makers[_chosen[key]]()
    if recompute and isinstance(engine, PlainEngine):
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return engine


def _report(message: str) -> None:
    if message not in _reported:
        _reported.add(message)
        logger.warning(message)


def _model_key(model: Any, bf16: bool) -> str:
    """What decides how a model computes: its class, its config and types."""
    config = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_name")}
    kinds = (type(model).__name__, str(model.dtype), str(model.device), bf16)
    return json.dumps([*kinds, config], sort_keys=True, default=str)


def _first_that_agrees(model: Any, makers: Mapping[str, Callable[[], Engine]], bf16: bool) -> str:
    """Return the first engine that samples from the distribution that it trains."""
    low = bf16 or model.dtype != torch.float32
    limit = LARGEST_GAP[torch.bfloat16 if low else torch.float32]
    met: list[str] = []
    for name, make in makers.items():
        engine = make()
        try:
            gap = _sampling_gap(engine, PlainEngine(model, bf16))
        except torch.OutOfMemoryError:
            raise
        except FORWARD_ERRORS as error:
            if isinstance(engine, FastEngine):
                raise  # ours, so a defect
            said = str(error).split("\n")[0]
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            met.append(f"the {name} fails ({kind}{said})")
            continue
        if gap <= limit:
            if met:
                _report(f"{'; '.join(met)}: using the {name}")
            return name
        met.append(f"sampling and training differ by {gap:.3g} nats a token on the {name}")
    which = f"model.path {model.config.name_or_path!r} ({model.config.model_type})"
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise ValueError(f"{which}: {name} is not finite: restore the model's files")
    raise ValueError(
        f"{which} cannot be trained: {'; '.join(met)}: use another causal language model"
    )


@torch.no_grad()
def _sampling_gap(engine: Engine, own: PlainEngine) -> float:
    """Sample a few tokens; return how far training's log-probabilities of them are off.

    Those of the model's own forward are held against the engine's, too.
    """
    usable = range(1, own.model.get_input_embeddings().weight.shape[0])
    prompts = [[usable[(7 * i + n) % len(usable)] for i in range(n)] for n in CHECK_LENGTHS]
    noise = uniforms(0, CHECK_STEP, [str(n) for n in CHECK_LENGTHS], 2, CHECK_TOKENS)
    groups = engine.generate(prompts, noise, Sampling(CHECK_TOKENS, ()))
    sampled = torch.tensor([p for group in groups for c in group for p in c.logprobs])
    tokens = [[c.token_ids for c in group] for group in groups]
    gaps = [
        float((scorer.logprobs(prompts, tokens)[0].cpu() - sampled).abs().mean())
        for scorer in (engine, own)
    ]
    return max(gaps, key=lambda gap: math.inf if math.isnan(gap) else gap)
