"""The policy that stages train and evaluate: a model, its tokenizer and what they agreed on."""

import json
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.config import HfModelConfig, ModelConfig, TinyModelConfig, resolve_checkpoint
from trainers.folders import MANIFEST
from trainers.models.chat import turn_end
from trainers.models.hf import load_model_and_tokenizer
from trainers.models.tiny import build_tiny_model, build_tiny_tokenizer


@dataclass(frozen=True, slots=True)
class Policy:
    """A model ready for rollouts, evaluation and training, in eval mode on its device."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_token_ids: tuple[int, ...]
    """Tokens that end a completion; the first is the one that training appends, and all of them
    stand in the generation config of what is exported."""
    pad_token_id: int
    chat_template: bool
    """Whether prompts are wrapped in the tokenizer's chat template."""
    max_length: int
    """The model's context: prompt plus completion, in tokens."""
    today: date | None = None
    """The date that the chat template writes into prompts; None if it writes none."""

    @property
    def num_embeddings(self) -> int:
        """Tokens that the model can read: a tokenizer may know more."""
        embeddings: Any = self.model.get_input_embeddings()
        return int(embeddings.weight.shape[0])


def load_policy(
    config: ModelConfig, seed: int, device: torch.device | str, today: date | None = None
) -> Policy:
    """Make the model that a run starts from: from scratch with `seed`, or loaded.

    A chat template that writes the date writes `today`, by default the day that it is.
    Raises ValueError where the model cannot be loaded or no token ends its completions.
    """
    if isinstance(config, TinyModelConfig):
        tiny: Any = build_tiny_model(config, seed)
        return _policy(tiny.to(device), build_tiny_tokenizer(config))
    model, tokenizer = load_model_and_tokenizer(config, device)
    return _policy(model, tokenizer, config, today)


def load_checkpoint(
    config: ModelConfig, folder: Path, device: torch.device | str, today: date | None = None
) -> Policy:
    """Load the model that a stage left in `folder`, with the other settings of `config`.

    Raises ValueError where the folder holds no model.
    """
    if isinstance(config, TinyModelConfig):
        return load_folder(folder, device, chat_template=False)
    path = str(resolve_checkpoint(folder).resolve())
    own = config.model_copy(update={"path": path, "revision": None})
    return load_policy(own, 0, device, today)


def load_folder(folder: Path, device: torch.device | str, chat_template: bool) -> Policy:
    """Load a model folder in float32; ValueError where it holds no model.

    Prompts are wrapped in its tokenizer's chat template if it has one and `chat_template` is set;
    one that writes the date writes that of the run that made the checkpoint.
    """
    path = str(resolve_checkpoint(folder).resolve())
    config = HfModelConfig(type="hf", path=path, chat_template=chat_template)
    return load_policy(config, 0, device, _recorded_date(Path(path)))


def _recorded_date(folder: Path) -> date | None:
    """The date in the prompts of the run that made a checkpoint; see trainers.stages."""
    try:
        return date.fromisoformat(json.loads((folder / MANIFEST).read_bytes())["meta"]["today"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a folder of others, or a template that writes no date


def _policy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    config: HfModelConfig | None = None, today: date | None = None,
) -> Policy:  # fmt: skip
    chat_template = bool(config and config.chat_template and tokenizer.chat_template is not None)
    by_template = chat_template and config and not config.eos_token
    eos_token_ids = _eos_token_ids(model, tokenizer, turn_end(tokenizer) if by_template else None)
    dated = chat_template and "strftime_now" in tokenizer.get_chat_template()
    pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        # What stops a rollout is to stop whoever serves the checkpoint.
        single = len(eos_token_ids) == 1
        model.generation_config.eos_token_id = eos_token_ids[0] if single else list(eos_token_ids)
    return Policy(
        model=model,
        tokenizer=tokenizer,
        eos_token_ids=eos_token_ids,
        pad_token_id=eos_token_ids[0] if pad_token_id is None else int(pad_token_id),
        chat_template=chat_template,
        max_length=_max_length(model, tokenizer),
        today=(today or date.today()) if dated else None,
    )


def _eos_token_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, end_of_turn: int | None
) -> tuple[int, ...]:
    """Collect the ends that template, tokenizer, generation and model config name, in this order.

    A base model's template may end a turn with another token than its eos: in a conversation that
    token is what ends an answer.
    """
    found: dict[int, None] = {}
    generation = getattr(model.generation_config, "eos_token_id", None)
    own = getattr(model.config, "eos_token_id", None)
    for named in (end_of_turn, tokenizer.eos_token_id, generation, own):
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
