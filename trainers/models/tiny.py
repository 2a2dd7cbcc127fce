"""A small decoder from scratch, and its tokenizer: one token for each literal.

Both are saved in Hugging Face format, so that AutoModelForCausalLM and AutoTokenizer load every
checkpoint. The blocks are Qwen3's (RMSNorm on queries and keys, SwiGLU, rotary positions).
"""

import hashlib

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from trainers.config import TinyModelConfig

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
WORDS = ("=", "walk", ";", "UNSAT")
PROGRAM_WORDS = (
    *("->", "<-", "input", "run", "<INPUT>", "</INPUT>", "{", "}"),
    *("int(input())", "map(int,input().split())", "print", "if", "else", "abs", "min", "max"),
    *("+", "-", "*", "//", "%", "==", "!=", "<", ">", "<=", ">=", "(", ")", ",", ":"),
    *("n", "x", "a", "k", "m", "b", "c", "y", "z", "p", "q", "r", "s", "t", "d"),
    *map(str, range(100)),
)
"""The words of compact ABD problems that SAT's lack."""


def tiny_vocabulary(config: TinyModelConfig) -> tuple[str, ...]:
    """Return the tokens in the order of their ids: special, words, +1.., -1.., and programs'."""
    variables = range(1, config.max_variables + 1)
    positive = tuple(f"+{variable}" for variable in variables)
    negative = tuple(f"-{variable}" for variable in variables)
    programs = PROGRAM_WORDS if config.programs else ()
    return SPECIAL_TOKENS + WORDS + positive + negative + programs


def build_tiny_tokenizer(config: TinyModelConfig) -> PreTrainedTokenizerFast:
    """Build the tokenizer of words between blanks; encoding puts <bos> in front."""
    vocabulary = {token: index for index, token in enumerate(tiny_vocabulary(config))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A",
        pair="<bos> $A $B",
        special_tokens=[("<bos>", vocabulary["<bos>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=config.max_position_embeddings,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build_tiny_model(config: TinyModelConfig, seed: int) -> Qwen3ForCausalLM:
    """Build the model in fp32 on the CPU; the same seed gives the same weights, bit for bit.

    The process's random state is left as it was.
    """
    state = torch.get_rng_state()
    try:
        # Only the CPU's generator: torch.manual_seed would reset those of the accelerators too.
        torch.default_generator.manual_seed(_init_seed(seed))
        model = Qwen3ForCausalLM(_qwen3_config(config))
    finally:
        torch.set_rng_state(state)
    return model.eval()


def _qwen3_config(config: TinyModelConfig) -> Qwen3Config:
    vocabulary = tiny_vocabulary(config)
    return Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=True,
        dtype="float32",
        pad_token_id=vocabulary.index("<pad>"),
        bos_token_id=vocabulary.index("<bos>"),
        eos_token_id=vocabulary.index("<eos>"),
    )


def _init_seed(seed: int) -> int:
    digest = hashlib.sha256(f"clutch tiny model init {seed}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
