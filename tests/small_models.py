"""Small models of four families, made from config and saved to disk as a user's model would be."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mamba": (MambaConfig, MambaForCausalLM),
}


def byte_tokenizer(
    chat_template: Any = CHAT_TEMPLATE, eos_token: str = "<|im_end|>", adds_eos: bool = False
) -> PreTrainedTokenizerFast:
    """Byte-level tokenizer with Qwen's special tokens: eos <|im_end|>, no pad token.

    Base models have the eos <|endoftext|>; with `adds_eos` it stands behind every text.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["x1 = True, x2 = False", "+1 -2 +3 ; -1 +2 ="], trainer)
    if adds_eos:
        pair = (eos_token, tokenizer.token_to_id(eos_token))
        tokenizer.post_processor = TemplateProcessing(
            single=f"$A {eos_token}", special_tokens=[pair]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=eos_token)
    fast.chat_template = chat_template
    return fast


def small_model(family: str, **overrides: object) -> PreTrainedModel:
    """Two layers, width 32, of the family `qwen2`, `qwen3`, `llama` or `mamba`."""
    config_class, model_class = FAMILIES[family]
    settings = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 96,
        "tie_word_embeddings": family != "llama",
        "bos_token_id": 0,
        "eos_token_id": 0,
    } | overrides
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return model_class(config_class(**settings)).eval()


def save_small_model(family: str, folder: Path, **overrides: object) -> PreTrainedModel:
    """Save a small model and its tokenizer to `folder`; return the model."""
    model = small_model(family, **overrides)
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return model
