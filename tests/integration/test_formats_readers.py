"""The readers themselves: Hugging Face datasets loads every format, and TRL trains on two."""

import json
import os
from pathlib import Path

import pytest
import torch

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

from datasets import Dataset, load_dataset
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from datagen.formats.export import export_rows
from datagen.formats.registry import FORMATS
from reward_fns import abd_reward_fn, sat_fraction_reward_fn, sat_reward_fn
from reward_fns.registry import score
from tests.export_rows import mixed_rows, sat_row, trace_row
from tests.small_models import byte_tokenizer, small_model
from tests.small_policy import format_policy

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings(
        "ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*pin_memory:UserWarning"
    ),
]
NUM_ROWS = 2000


def load(name: str, rows: object, folder: Path) -> Dataset:
    """Export rows and read them back as a user of Hugging Face datasets does."""
    made = FORMATS[name]
    path = folder / f"rows{made.suffix}"
    export_rows(name, rows, path)
    builder = "parquet" if made.suffix == ".parquet" else "json"
    return load_dataset(
        builder, data_files=str(path), split="train", cache_dir=str(folder / "cache")
    )


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_datasets_loads_problems(name: str, tmp_path: Path) -> None:
    rows = map(sat_row, range(NUM_ROWS)) if name == "affine_sft" else mixed_rows(NUM_ROWS)
    table = load(name, rows, tmp_path)
    assert len(table) == NUM_ROWS
    for index in (0, 1, NUM_ROWS - 1):
        row = sat_row(index) if name == "affine_sft" else list(mixed_rows(index + 1))[-1]
        expected = json.loads(json.dumps(FORMATS[name].record(row)))
        assert without_none(table[index]) == without_none(expected)


@pytest.mark.parametrize("name", ["trace", "tunix_sft", "training_example", "jsonl"])
def test_datasets_loads_traces(name: str, tmp_path: Path) -> None:
    table = load(name, map(trace_row, range(100)), tmp_path)
    expected = json.loads(json.dumps(FORMATS[name].record(trace_row(99))))
    assert table[99] == expected


def without_none(value: object) -> object:
    """A record as it was before readers filled in the keys of others."""
    if isinstance(value, dict):
        return {key: without_none(v) for key, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, list) else value


def test_verl_rows_hold_what_a_rule_needs_to_score_them(tmp_path: Path) -> None:
    for row in load("verl", map(sat_row, range(5)), tmp_path):
        extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
        assert score(extra["task"], extra["task"], extra["answer"], truth).value == 1
        assert score(extra["task"], extra["task"], "-1 +2 +3", truth).value == 0


def settings(folder: Path) -> dict[str, object]:
    return {
        "output_dir": str(folder / "out"), "max_steps": 2, "learning_rate": 1e-3, "bf16": False,
        "use_cpu": True, "report_to": "none", "disable_tqdm": True, "save_strategy": "no",
        "gradient_checkpointing": False, "logging_steps": 1,
    }  # fmt: skip


def test_grpo_trainer_trains_on_the_trl_export(tmp_path: Path) -> None:
    """Rewards reach TRL unmodified; each is called on all rows and answers for its own task."""
    table = load("trl", mixed_rows(16), tmp_path)
    args = GRPOConfig(
        **settings(tmp_path), per_device_train_batch_size=8, num_generations=4,
        max_completion_length=5, beta=0.0,
    )  # fmt: skip
    policy = format_policy(tmp_path / "policy")
    before = [weight.clone() for weight in policy.model.parameters()]
    trainer = GRPOTrainer(
        policy.model,
        [sat_reward_fn, sat_fraction_reward_fn, abd_reward_fn],
        args,
        train_dataset=table,
        processing_class=policy.tokenizer,
    )
    assert trainer.train().global_step == 2
    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert len(logged) == 2
    assert sum(row["rewards/sat_fraction_reward_fn/mean"] for row in logged) > 0
    assert any(row["rewards/abd_reward_fn/mean"] == 0 for row in logged)
    after = policy.model.parameters()
    assert any(not torch.equal(x, y) for x, y in zip(before, after, strict=True))
    called_by_trl_itself(trainer, table)


def called_by_trl_itself(trainer: GRPOTrainer, table: Dataset) -> None:
    """TRL's own call of the reward functions, with strings and with chat messages."""
    rows = [table[i] for i in range(4)]
    assert [row["task"] for row in rows] == ["sat", "abd"] * 2
    texts = [row["answer"] for row in rows[:2]] + ["1", "<INPUT>no</INPUT>"]
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    for completions in (texts, chats):
        rewards = trainer._calculate_rewards(rows, ["?"] * 4, completions, [[1]] * 4)
        expected = [[1, 1, None], [None, None, 1], [0, 0, None], [None, None, 0]]
        assert [[None if r != r else r for r in row] for row in rewards.tolist()] == expected


def test_sft_trainer_trains_on_training_examples(tmp_path: Path) -> None:
    table = load("training_example", map(trace_row, range(16)), tmp_path)
    trainer = SFTTrainer(
        small_model("qwen2", max_position_embeddings=256),
        SFTConfig(**settings(tmp_path), per_device_train_batch_size=4, max_length=256),
        train_dataset=table.rename_column("response", "completion"),
        processing_class=byte_tokenizer(),
    )
    assert trainer.train().global_step == 2
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert losses[1] < losses[0]
