"""Policies from config and from disk: what is saved is what loads, and what cannot is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.abd_styles import COMPACT_WORDS
from tests.small_models import save_small_model
from trainers.config import HfModelConfig, TinyModelConfig
from trainers.models.load import load_checkpoint, load_policy
from trainers.models.tiny import build_tiny_model, build_tiny_tokenizer, tiny_vocabulary

TINY = TinyModelConfig(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8
)


def test_tiny_tokenizer_has_one_token_per_word() -> None:
    tokenizer = build_tiny_tokenizer(TINY)
    ids = tokenizer("+1 -2 +3 ; -8 = walk UNSAT")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == [
        "<bos>", "+1", "-2", "+3", ";", "-8", "=", "walk", "UNSAT",
    ]  # fmt: skip
    assert len(tokenizer) == len(tiny_vocabulary(TINY)) == 24


def test_tiny_with_programs_has_every_word_of_compact_abd() -> None:
    config = TINY.model_copy(update={"programs": True})
    vocabulary = tiny_vocabulary(config)
    assert len(set(vocabulary)) == len(vocabulary)
    assert set(COMPACT_WORDS) <= set(vocabulary)
    assert set(vocabulary) == set(tiny_vocabulary(TINY)) | set(COMPACT_WORDS)
    tokenizer = build_tiny_tokenizer(config)
    ids = tokenizer(" ".join(COMPACT_WORDS), add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == " ".join(COMPACT_WORDS)


def test_tiny_decode_gives_literals_with_single_blanks() -> None:
    tokenizer = build_tiny_tokenizer(TINY)
    ids = tokenizer("+1 -2 +3", add_special_tokens=False)["input_ids"]
    padded = [tokenizer.pad_token_id, *ids, tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert tokenizer.decode(padded, skip_special_tokens=True) == "+1 -2 +3"


def test_tiny_is_saved_so_that_auto_classes_load_it(tmp_path: Path) -> None:
    policy = load_policy(TINY, seed=3, device="cpu")
    policy.model.save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    inputs = tokenizer(["+1 -2 =", "+1 ; -1 +4 ="], padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == [[0, 0, 1, 8, 17, 4], [1, 8, 6, 16, 11, 4]]
    assert tokenizer.decode([8, 17, 2], skip_special_tokens=True) == "+1 -2"
    assert tokenizer.model_max_length == 256
    expected = policy.model(**inputs).logits
    assert torch.equal(model(**inputs).logits, expected)
    assert model.get_input_embeddings().weight is model.lm_head.weight
    assert model.generate(**inputs, max_new_tokens=2, do_sample=False).shape == (2, 8)


def test_tiny_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_tiny_model(TINY, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(100)
    again = build_tiny_model(TINY, seed=5).state_dict()
    other = build_tiny_model(TINY, seed=6).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_hf_families_load_from_a_folder(family: str, tmp_path: Path) -> None:
    saved = save_small_model(family, tmp_path)
    policy = load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(policy.model(ids).logits, saved(ids).logits)
    assert not policy.model.training
    assert policy.eos_token_ids == (2, 0)
    # Qwen2's own tokenizer class pads with <|endoftext|>; the others have no pad token.
    assert policy.pad_token_id == (0 if family == "qwen2" else 2)
    assert policy.tokenizer.pad_token_id == policy.pad_token_id
    assert policy.chat_template
    assert policy.max_length == 96


def test_hf_settings_act(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path)
    config = HfModelConfig(
        type="hf",
        path=str(tmp_path),
        dtype="bfloat16",
        chat_template=False,
        gradient_checkpointing=True,
    )
    policy = load_policy(config, seed=0, device="cpu")
    assert policy.model.dtype == torch.bfloat16
    assert policy.model.is_activation_checkpointing
    assert not policy.chat_template


def test_checkpoint_of_a_tiny_model_loads_with_its_ends(tmp_path: Path) -> None:
    policy = load_policy(TINY, seed=1, device="cpu")
    policy.model.save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    loaded = load_checkpoint(TINY, tmp_path, "cpu")
    assert (loaded.eos_token_ids, loaded.pad_token_id, loaded.max_length) == ((2,), 0, 256)
    ids = torch.tensor([[1, 8, 4]])
    assert torch.equal(loaded.model(ids).logits, policy.model(ids).logits)


def test_checkpoint_keeps_the_settings_of_its_config(tmp_path: Path) -> None:
    save_small_model("qwen2", tmp_path / "base", max_position_embeddings=64)
    save_small_model("qwen2", tmp_path / "sft")
    config = HfModelConfig(
        type="hf", path=str(tmp_path / "base"), revision="main", chat_template=False
    )
    policy = load_checkpoint(config, tmp_path / "sft", "cpu")
    assert policy.max_length == 96
    assert not policy.chat_template


@pytest.mark.parametrize("path", ["/no/such/model", "./no-such-model", "runs/x/checkpoints/sft"])
def test_missing_path_is_one_line(path: str) -> None:
    with pytest.raises(ValueError, match=r"^model\.path .* does not exist: [^\n]+$"):
        load_policy(HfModelConfig(type="hf", path=path), seed=0, device="cpu")


def test_folder_without_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^no checkpoint at [^\n]+config\.json$"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    save_small_model("llama", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"^model\.path [^\n]+safetensors[^\n]+$"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")


def test_damaged_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    save_small_model("llama", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match=r"^model\.path [^\n]+cannot be loaded[^\n]+$"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")


def test_missing_weights_are_not_drawn_at_random(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights .*layers\.1\.mlp\.up_proj"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")


def test_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path, vocab_size=32)
    with pytest.raises(ValueError, match=r"tokenizer has \d+ tokens, its model 32 embeddings"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")


def test_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "own.Model", "AutoConfig": "own.Config"}
    config["model_type"] = "own"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("open('executed', 'w').close()\n")
    with pytest.raises(ValueError, match=r"^model\.path [^\n]+cannot be loaded[^\n]+$"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")
    assert not Path("executed").exists()


def test_model_without_an_end_is_refused(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path, eos_token_id=None)
    path = tmp_path / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["eos_token"]
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="names no eos token: set eos_token"):
        load_policy(HfModelConfig(type="hf", path=str(tmp_path)), seed=0, device="cpu")
