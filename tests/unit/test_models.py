"""Policies from config and from disk: what is saved is what loads, and what cannot is refused."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from datagen.abd_styles import COMPACT_WORDS
from reward_fns.records import Problem
from tests.small_models import CHAT_TEMPLATE, byte_tokenizer, save_small_model
from trainers.checkpoint import export_model
from trainers.config import HfModelConfig, TinyModelConfig
from trainers.data import answers_for, prompts_for
from trainers.models.load import Policy, load_checkpoint, load_folder, load_policy
from trainers.models.sources import context_length, model_problems
from trainers.models.tiny import build_tiny_model, build_tiny_tokenizer, tiny_vocabulary


def load_hf(folder: Path, **settings: Any) -> Policy:
    return load_policy(HfModelConfig(type="hf", path=str(folder), **settings), 0, "cpu")


def problem(prompt: str, answer: str = "+1") -> Problem:
    return Problem("p", "sat", "train", 0, prompt, answer, "{}", "{}")


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


def test_a_token_without_embedding_is_refused_where_it_occurs(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path, vocab_size=273)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<image>"])  # as multimodal families do: one token more than embeddings
    tokenizer.save_pretrained(tmp_path)
    policy = load_hf(tmp_path)
    assert len(policy.tokenizer) > policy.num_embeddings
    assert prompts_for(policy, [problem("+1 =")], 99).prompt_ids
    told = r"^problem p: its token '<image>' has the id 273, the model has 273 embeddings: "
    with pytest.raises(ValueError, match=told):
        prompts_for(policy, [problem("+1 <image> =")], 99)
    with pytest.raises(ValueError, match=told):
        answers_for(policy, [problem("+1 =", "<image>")], 99)


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
        load_hf(tmp_path, chat_template=False)
    assert load_hf(tmp_path).eos_token_ids == (2,)  # the template's end of a turn


def save_base_model(folder: Path, chat_template: Any = CHAT_TEMPLATE) -> None:
    """A base model as Qwen's: eos <|endoftext|>, and a template that ends turns with <|im_end|>."""
    save_small_model("qwen3", folder)
    byte_tokenizer(chat_template, eos_token="<|endoftext|>").save_pretrained(folder)


def test_training_stopping_and_export_end_an_answer_as_the_template_does(tmp_path: Path) -> None:
    save_base_model(tmp_path / "base")
    policy = load_hf(tmp_path / "base")
    assert policy.eos_token_ids == (2, 0)
    assert answers_for(policy, [problem("+1 =")], 99).completion_ids[0][-1] == 2
    out = tmp_path / "sft"
    export_model(policy.model, policy.tokenizer, out, "", {})
    assert GenerationConfig.from_pretrained(out).eos_token_id == [2, 0]
    assert load_folder(out, "cpu", chat_template=True).eos_token_ids == (2, 0)
    assert load_hf(tmp_path / "base", chat_template=False).eos_token_ids == (0,)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
        "{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m.content }}{% endfor %}",
    ],
)
def test_a_template_that_shows_no_end_leaves_the_tokenizers(template: str, tmp_path: Path) -> None:
    save_base_model(tmp_path, template)
    assert load_hf(tmp_path).eos_token_ids == (0,)


def test_eos_token_is_what_the_config_says(tmp_path: Path) -> None:
    save_base_model(tmp_path / "base")
    policy = load_hf(tmp_path / "base", eos_token="<|im_start|>")
    assert policy.eos_token_ids == (1, 0)
    export_model(policy.model, policy.tokenizer, tmp_path / "sft", "", {})
    assert set(load_folder(tmp_path / "sft", "cpu", chat_template=False).eos_token_ids) == {0, 1}
    with pytest.raises(ValueError, match=r"^model\.eos_token '<end>' is no token of "):
        load_hf(tmp_path / "base", eos_token="<end>")


DATED = "Today: {{ strftime_now('%d %b %Y') }}\n" + CHAT_TEMPLATE


def test_a_date_in_the_template_is_the_runs(tmp_path: Path) -> None:
    save_base_model(tmp_path / "base", DATED)
    config, day = HfModelConfig(type="hf", path=str(tmp_path / "base")), date(2024, 2, 9)
    policy = load_policy(config, 0, "cpu", day)
    (ids,) = prompts_for(policy, [problem("+1 =")], 99).prompt_ids
    assert policy.tokenizer.decode(ids).startswith("Today: 09 Feb 2024\n<|im_start|>user")
    export_model(policy.model, policy.tokenizer, tmp_path / "sft", "", {"today": "2024-02-09"})
    assert load_folder(tmp_path / "sft", "cpu", chat_template=True).today == day
    assert load_checkpoint(config, tmp_path / "sft", "cpu", date(2025, 1, 1)).today.year == 2025
    assert load_hf(tmp_path / "base").today == date.today()
    assert load_hf(tmp_path / "base", chat_template=False).today is None


def test_a_folder_with_an_adapter_is_refused(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (told,) = model_problems(HfModelConfig(type="hf", path=str(tmp_path)))
    assert "holds adapter_config.json beside the model's own config.json" in told
    (tmp_path / "config.json").unlink()
    (told,) = model_problems(HfModelConfig(type="hf", path=str(tmp_path)))
    assert "holds an adapter (adapter_config.json) without its model" in told


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_that_was_loaded_is_refused(tmp_path: Path) -> None:
    base = save_small_model("qwen3", tmp_path)
    peft = get_peft_model(base, LoraConfig(target_modules=["q_proj"], r=2))
    peft.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds adapter_config\.json .*merge_and_unload"):
        load_hf(tmp_path)


def test_several_chat_templates_without_a_default_are_refused(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    byte_tokenizer({"rag": CHAT_TEMPLATE, "tool_use": DATED}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has 2 chat templates \(rag, tool_use\) and none is "):
        load_hf(tmp_path)
    (told,) = model_problems(HfModelConfig(type="hf", path=str(tmp_path)))
    assert "tokenizer_config.json has 2 chat templates (rag, tool_use)" in told
    plain = HfModelConfig(type="hf", path=str(tmp_path), chat_template=False)
    assert model_problems(plain) == []
    assert not load_policy(plain, 0, "cpu").chat_template
    byte_tokenizer({"default": CHAT_TEMPLATE, "rag": DATED}).save_pretrained(tmp_path)
    assert model_problems(HfModelConfig(type="hf", path=str(tmp_path))) == []
    policy = load_hf(tmp_path)
    assert policy.chat_template and policy.today is None


def test_a_model_folder_tells_its_problems_before_it_is_loaded(tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path)
    assert model_problems(HfModelConfig(type="hf", path=str(tmp_path))) == []
    assert context_length(str(tmp_path)) == 96
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    (told,) = model_problems(HfModelConfig(type="hf", path=str(tmp_path)))
    assert "has no *.safetensors file" in told
    (told,) = model_problems(HfModelConfig(type="hf", path=str(tmp_path / "none")))
    assert "does not exist" in told
    (told,) = model_problems(HfModelConfig(type="hf", path=str(tmp_path / "config.json")))
    assert "is a file" in told
