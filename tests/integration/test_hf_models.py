"""The pipeline on models of other families, from a folder, with a chat template."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.styles import prompt_text
from orchestrator.config import RunConfig
from orchestrator.pipeline import run_pipeline
from orchestrator.progress import Progress
from tests.small_models import CHAT_TEMPLATE, byte_tokenizer, save_small_model
from trainers.models.sources import count_tokens

pytestmark = pytest.mark.integration
DATED = "Today: {{ strftime_now('%d %b %Y') }}\n" + CHAT_TEMPLATE


def affine_run(storage: Path, model: Path, dtype: str = "float32") -> RunConfig:
    """Affine prompts of three variables, about 300 bytes each, on a saved model."""
    return RunConfig.model_validate(
        {
            "name": "hf",
            "storage": str(storage),
            "model": {"type": "hf", "path": str(model), "dtype": dtype},
            "datasets": {
                "sat": {
                    "type": "sat",
                    "style": "affine",
                    "sizes": [{"n": 3, "m": 3}],
                    "splits": {"train": 20, "test": 4},
                }
            },
            "stages": [
                {
                    "type": "sft",
                    "dataset": "sat",
                    "max_steps": 2,
                    "batch_size": 4,
                    "max_completion_length": 64,
                },
                {
                    "type": "grpo",
                    "dataset": "sat",
                    "max_steps": 2,
                    "num_generations": 2,
                    "generation_batch_size": 4,
                    "max_completion_length": 8,
                    "dynamic_sampling": "none",
                    "beta": 0.1,
                },
            ],
            "evaluation": {"dataset": "sat", "num_samples": 1, "max_completion_length": 8},
            "resources": {"num_workers": 0},
            "tracking": {"type": "none"},
        }
    )


@pytest.mark.parametrize(
    ("family", "dtype"), [("qwen2", "float32"), ("llama", "bfloat16"), ("mamba", "float32")]
)
def test_a_saved_model_goes_the_whole_way(
    family: str, dtype: str, tmp_path: Path, local_ray: None
) -> None:
    """A base model: its eos is another token than the one that ends a turn in its template."""
    base = tmp_path / "model"
    save_small_model(family, base, max_position_embeddings=1024)
    byte_tokenizer(DATED, eos_token="<|endoftext|>").save_pretrained(base)
    config = affine_run(tmp_path / "runs", base, dtype)
    with Progress() as progress:
        folder = run_pipeline(config, fresh=False, verbose=False, progress=progress)
    result = json.loads((folder / "result.json").read_text())
    assert list(result["checkpoints"]) == ["base", "sft", "grpo"]
    assert not (folder / "checkpoints" / "base").exists()  # it stays where it is
    manifest = json.loads((folder / "run_manifest.json").read_text())
    assert manifest["base_checkpoint"]
    before = AutoModelForCausalLM.from_pretrained(base, dtype=dtype).state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder / "checkpoints" / "grpo")
    assert after.dtype == getattr(torch, dtype)
    assert type(after).__name__.lower().startswith(family)
    changed = [n for n, t in after.state_dict().items() if not torch.equal(t, before[n])]
    assert len(changed) > len(before) / 2
    tokenizer = AutoTokenizer.from_pretrained(folder / "checkpoints" / "grpo")
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(base).chat_template
    ends = tokenizer.convert_ids_to_tokens(after.generation_config.eos_token_id)
    assert ends == ["<|im_end|>", "<|endoftext|>"]
    meta = json.loads((folder / "checkpoints" / "grpo" / "manifest.json").read_text())["meta"]
    assert meta["today"] == manifest["created_at"][:10]


def test_prompts_are_wrapped_in_the_chat_template(tmp_path: Path, local_ray: None) -> None:
    """Each prompt fits as it is, with nine negations of two bytes; the template adds 19 tokens."""
    base = tmp_path / "model"
    save_small_model("qwen2", base)
    shortest = count_tokens(str(base), prompt_text("affine", 3, [[1, 2, 3]] * 3))
    assert shortest is not None
    save_small_model("qwen2", base, max_position_embeddings=64 + shortest + 18)
    with pytest.raises(ValueError, match="the prompt has") as told, Progress() as progress:
        config = affine_run(tmp_path / "runs", base)
        run_pipeline(config, fresh=False, verbose=False, progress=progress)
    assert "max_prompt_length" in str(told.value)
