"""The policy that stages train and evaluate: a model, its tokenizer and what they agreed on."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.config import HfModelConfig, ModelConfig, TinyModelConfig, resolve_checkpoint
from trainers.models.hf import load_model_and_tokenizer
from trainers.models.tiny import build_tiny_model, build_tiny_tokenizer


@dataclass(frozen=True, slots=True)
class Policy:
    """A model ready for rollouts, evaluation and training, in eval mode on its device."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_token_ids: tuple[int, ...]
    """Tokens that end a completion; the first is the one that training appends."""
    pad_token_id: int
    chat_template: bool
    """Whether prompts are wrapped in the tokenizer's chat template."""
    max_length: int
    """The model's context: prompt plus completion, in tokens."""


def load_policy(config: ModelConfig, seed: int, device: torch.device | str) -> Policy:
    """Make the model that a run starts from: from scratch with `seed`, or loaded.

    Raises ValueError where the model cannot be loaded or no token ends its completions.
    """
    if isinstance(config, TinyModelConfig):
        model: Any = build_tiny_model(config, seed)
        return _policy(model.to(device), build_tiny_tokenizer(config), chat_template=False)
    model, tokenizer = load_model_and_tokenizer(config, device)
    return _policy(model, tokenizer, config.chat_template)


def load_checkpoint(config: ModelConfig, folder: Path, device: torch.device | str) -> Policy:
    """Load the model that a stage left in `folder`, with the other settings of `config`.

    Raises ValueError where the folder holds no model.
    """
    if isinstance(config, TinyModelConfig):
        return load_folder(folder, device, chat_template=False)
    path = str(resolve_checkpoint(folder).resolve())
    return load_policy(config.model_copy(update={"path": path, "revision": None}), 0, device)


def load_folder(folder: Path, device: torch.device | str, chat_template: bool) -> Policy:
    """Load a model folder in float32; ValueError where it holds no model.

    Prompts are wrapped in its tokenizer's chat template if it has one and `chat_template` is set.
    """
    path = str(resolve_checkpoint(folder).resolve())
    config = HfModelConfig(type="hf", path=path, chat_template=chat_template)
    return load_policy(config, 0, device)


def _policy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chat_template: bool
) -> Policy:
    eos_token_ids = _eos_token_ids(model, tokenizer)
    pad_token_id = tokenizer.pad_token_id
    return Policy(
        model=model,
        tokenizer=tokenizer,
        eos_token_ids=eos_token_ids,
        pad_token_id=eos_token_ids[0] if pad_token_id is None else int(pad_token_id),
        chat_template=chat_template and tokenizer.chat_template is not None,
        max_length=_max_length(model, tokenizer),
    )


def _eos_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Collect the ends that tokenizer, generation config and model config name, in this order."""
    found: dict[int, None] = {}
    generation = getattr(model.generation_config, "eos_token_id", None)
    for named in (tokenizer.eos_token_id, generation, model.config.eos_token_id):
        for token in named if isinstance(named, list | tuple) else (named,):
            if token is not None:
                found[int(token)] = None
    if not found:
        raise ValueError(
            f"model {model.config.name_or_path!r} names no eos token: set eos_token in its "
            "tokenizer_config.json"
        )
    return tuple(found)


def _max_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the model's context, or the tokenizer's limit where the model knows none."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(context or min(tokenizer.model_max_length, sys.maxsize))
