"""Any causal language model in Hugging Face format: a local folder or a name on the Hub.

Code that comes with a model is never run (trust_remote_code=False), and weights are read from
safetensors only, because other formats are pickles.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from trainers.config import HfModelConfig, resolve_checkpoint
from trainers.folders import verify_model
from trainers.models.sources import adapter_problem, local_folder, template_choice_problem

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LOADING_ERRORS = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


def load_model_and_tokenizer(
    config: HfModelConfig, device: torch.device | str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model (eval mode, on `device`) and tokenizer; a missing pad token becomes the eos token.

    Raises ValueError, in one line, where the path is missing, holds no safetensors, lacks weights
    of the model, needs code of its own, or where tokenizer and model do not belong together.
    """
    path = _locate(config.path)
    options: dict[str, Any] = {"revision": config.revision, "trust_remote_code": False}
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, **options)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=DTYPES[config.dtype],
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
        except LOADING_ERRORS as error:
            raise ValueError(
                f"model.path {config.path!r} cannot be loaded as a causal language model in "
                f"Hugging Face format (safetensors): {_one_line(error)}"
            ) from error
    model, loading = loaded
    _refuse_missing(config, loading)
    _refuse_adapter(config, model)
    _refuse_template_choice(config, tokenizer)
    _complete_tokenizer(config, tokenizer)
    if hasattr(model.config, "rescale_every"):
        # RWKV halves weights in place before it predicts, for float16; they would be saved so.
        model.config.rescale_every = 0
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable()
    return model.to(device).eval(), tokenizer


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing progress bars and loading reports of its own."""
    bars = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _locate(path: str) -> str:
    """Return an absolute local folder, or the name unchanged where it can be one of the Hub."""
    local = local_folder(path)
    if local is None:
        return path
    folder = resolve_checkpoint(local).resolve()
    verify_model(folder)
    return str(folder)


def _refuse_missing(config: HfModelConfig, loading: dict[str, Any]) -> None:
    """Refuse weights that the file lacks: they would silently be drawn at random."""
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ValueError(
            f"model.path {config.path!r} lacks {len(missing)} weights of the model, the first is "
            f"{missing[0]!r}: use a complete causal language model"
        )


def _refuse_adapter(config: HfModelConfig, model: PreTrainedModel) -> None:
    """Refuse an adapter that was loaded with the model: it would be all that can be trained."""
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError(adapter_problem(config.path))


def _refuse_template_choice(config: HfModelConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse several chat templates of which none is the default."""
    templates = tokenizer.chat_template
    if config.chat_template and isinstance(templates, dict) and "default" not in templates:
        raise ValueError(template_choice_problem(config.path, templates))


def _complete_tokenizer(config: HfModelConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    eos = config.eos_token
    if eos is not None:
        if eos not in tokenizer.get_vocab():
            raise ValueError(
                f"model.eos_token {eos!r} is no token of {config.path!r}: use one of its "
                "vocabulary, as <|im_end|>"
            )
        tokenizer.eos_token = eos
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token


def _one_line(error: BaseException) -> str:
    lines = str(error).split("\n")
    return f"{type(error).__name__}: {lines[0].strip()}"
