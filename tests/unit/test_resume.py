"""A course of stages, stopped at any step and gone on with, ends in the same bits.

Here the stop is an exception in this process; tests/chaos kills real processes.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from datagen.config import SatConfig
from datagen.dataset import build_dataset
from tests.small_models import save_small_model
from trainers.config import (
    EvaluationConfig,
    GrpoConfig,
    HfModelConfig,
    SftConfig,
    TinyModelConfig,
)
from trainers.parallel import Workers
from trainers.rollout_log import read_rollouts
from trainers.run import Run, StopRequested, TrainingError
from trainers.stages import Course, run_course

MODEL = TinyModelConfig(hidden_size=16, num_hidden_layers=1, head_dim=8, intermediate_size=16)
# Fast enough for some groups of some GRPO steps to have a signal, and for others to have none.
SFT: dict[str, Any] = {
    "type": "sft",
    "dataset": "sat",
    "split": "warmup",
    "max_steps": 7,
    "batch_size": 8,
    "learning_rate": 5e-2,
    "max_completion_length": 20,
    "logging_steps": 3,
    "eval_steps": 4,
    "save_steps": 2,
}
GRPO: dict[str, Any] = {
    "type": "grpo",
    "dataset": "sat",
    "max_steps": 9,
    "num_generations": 4,
    "generation_batch_size": 16,
    "learning_rate": 3e-3,
    "max_completion_length": 6,
    "logging_steps": 4,
    "eval_steps": 3,
    "save_steps": 3,
}


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "sat"
    config = SatConfig.model_validate(
        {
            "type": "sat",
            "style": "compact",
            "sizes": [{"n": 3, "m": 4}],
            "splits": {
                "train": 40,
                "test": 12,
                "validation": 6,
                "warmup": {"num_problems": 30, "demonstrations": {"type": "walk"}},
            },
        }
    )
    build_dataset(config, folder, seed=0)
    return folder


def course(dataset: Path, *stages: dict[str, Any]) -> Course:
    kinds: dict[str, Any] = {"sft": SftConfig, "grpo": GrpoConfig}
    return Course(
        model=MODEL,
        stages=[kinds[stage["type"]].model_validate(stage) for stage in stages],
        evaluation=EvaluationConfig(dataset="sat", num_samples=2, max_completion_length=6),
        datasets={"sat": dataset},
    )


def go(
    course: Course, folder: Path, progress: Callable[[str, int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    run_course(
        course,
        Run(
            folder=folder,
            seed=3,
            workers=Workers(),
            report=lambda row: None,
            progress=progress or (lambda what, done, total: None),
            stop_requested=stop,
        ),
    )


def outcome(folder: Path) -> dict[str, bytes]:
    """Everything that must come out the same, times apart."""
    patterns = ("metrics.jsonl", "rollouts/*", "evaluations/*", "checkpoints/*/model.safetensors")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    }


def kill_at(stage: str, step: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if (what, done) == (stage, step):
            raise Killed

    return progress


@pytest.fixture(scope="module")
def uninterrupted(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    go(course(dataset, SFT, GRPO), folder)
    return outcome(folder)


def test_a_course_leaves_every_checkpoint_metric_rollout_and_answer(
    dataset: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    rows = [json.loads(line) for line in uninterrupted["metrics.jsonl"].splitlines()]
    assert [(r["stage"], r["step"]) for r in rows] == [
        ("sft", 3), ("sft", 6), ("sft", 7), ("grpo", 4), ("grpo", 8), ("grpo", 9),
    ]  # fmt: skip
    assert all("validation/solved" in r for r in rows if r["step"] in (6, 7, 4, 8, 9))
    assert all(r["optim/skipped_steps"] == 0 for r in rows[:3])
    assert 0 < rows[3]["optim/skipped_steps"] < 1, "steps with a signal and without are resumed"
    for name in ("base", "sft", "grpo"):
        assert len(uninterrupted[f"evaluations/{name}.jsonl"].splitlines()) == 12
        assert f"checkpoints/{name}/model.safetensors" in uninterrupted
    path = tmp_path / "grpo-rank0.jsonl"
    path.write_bytes(uninterrupted["rollouts/grpo-rank0.jsonl"])
    path.with_suffix(".idx").write_bytes(uninterrupted["rollouts/grpo-rank0.idx"])
    rollouts = read_rollouts(path, 0, 1000)
    assert [(r["step"], r["sample"]) for r in rollouts[::4]] == [
        (step, 0) for step in range(1, 10) for _ in range(4)
    ]


@pytest.mark.parametrize(
    ("stage", "step"),
    [("train sft", step) for step in (1, 2, 3, 4, 5, 7)]
    + [("train grpo", step) for step in (1, 3, 4, 5, 7, 9)]
    + [("evaluate base", 12), ("sft: model to load for evaluation", 0), ("evaluate grpo", 12)],
)
def test_killed_at_any_step_it_ends_in_the_same_bits(
    dataset: Path, tmp_path: Path, uninterrupted: dict[str, bytes], stage: str, step: int
) -> None:
    with pytest.raises(Killed):
        go(course(dataset, SFT, GRPO), tmp_path, kill_at(stage, step))
    go(course(dataset, SFT, GRPO), tmp_path)
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize(
    "changes",
    [
        {"num_iterations": 2, "steps_per_generation": 2, "save_steps": 1},
        {"dynamic_sampling": "refill", "beta": 0.1, "scale_rewards": "batch"},
        {"dynamic_sampling": "none", "top_p": 0.9, "mask_truncated_completions": True},
    ],
)
def test_every_way_of_sampling_resumes_exactly(
    dataset: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    stages = course(dataset, {**GRPO, **changes})
    go(stages, tmp_path / "whole")
    for step in (3, 6, 7):
        with pytest.raises(Killed):
            go(stages, tmp_path / "killed", kill_at("train grpo", step))
    go(stages, tmp_path / "killed")
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_a_second_stage_of_grpo_samples_with_noise_of_its_own(
    dataset: Path, tmp_path: Path
) -> None:
    """Both stages visit all problems in each step, on weights that next to never change."""
    stage = {**GRPO, "learning_rate": 1e-12, "generation_batch_size": 160, "eval_steps": None}
    stages = [{**stage, "name": name, "max_steps": 1} for name in ("first", "second")]
    go(course(dataset, *stages), tmp_path)
    sampled = [
        {
            (row["problem_id"], row["sample"]): row["token_ids"]
            for row in read_rollouts(path, 0, 999)
        }
        for path in sorted((tmp_path / "rollouts").glob("*.jsonl"))
    ]
    assert sampled[0].keys() == sampled[1].keys() and len(sampled[0]) == 160
    same = sum(sampled[0][key] == sampled[1][key] for key in sampled[0])
    assert same < 16


def test_float32_masters_of_bfloat16_weights_resume_exactly(dataset: Path, tmp_path: Path) -> None:
    save_small_model("qwen3", tmp_path / "model", max_position_embeddings=192)
    model = HfModelConfig(type="hf", path=str(tmp_path / "model"), dtype="bfloat16")
    sft = {**SFT, "learning_rate": 1e-6, "eval_steps": None}
    grpo = {**GRPO, "max_steps": 4, "eval_steps": None, "save_steps": 1, "entropy_coef": 0.1}
    stages = replace(course(dataset, sft, grpo | {"dynamic_sampling": "none"}), model=model)
    go(stages, tmp_path / "whole")
    for stage, step in (("train sft", 3), ("train sft", 5), ("train grpo", 2), ("train grpo", 4)):
        with pytest.raises(Killed):
            go(stages, tmp_path / "killed", kill_at(stage, step))
    go(stages, tmp_path / "killed")
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    left = load_file(tmp_path / "whole" / "checkpoints" / "grpo" / "model.safetensors")
    assert {tensor.dtype for tensor in left.values()} == {torch.bfloat16}


def test_a_stop_saves_the_state_at_the_next_step(
    dataset: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    stages = course(dataset, SFT, {**GRPO, "save_steps": 100})
    with pytest.raises(StopRequested):
        go(stages, tmp_path, stop=lambda: (tmp_path / "evaluations" / "sft.jsonl").is_file())
    assert [p.name for p in (tmp_path / "state" / "grpo").glob("step-*")] == ["step-000001"]
    told: list[tuple[str, int]] = []
    go(stages, tmp_path, lambda what, done, total: told.append((what, done)))
    assert next(done for what, done in told if what == "train grpo") == 1
    assert outcome(tmp_path) == uninterrupted


def test_a_stop_ends_an_evaluation_after_its_batch(
    dataset: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    stages = course(dataset, SFT, {**GRPO, "save_steps": 100})
    with pytest.raises(StopRequested):
        go(stages, tmp_path, stop=lambda: (tmp_path / "checkpoints" / "sft").is_dir())
    assert [p.name for p in (tmp_path / "evaluations").glob("*.jsonl")] == ["base.jsonl"]
    go(stages, tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_a_loss_that_is_not_finite_names_step_and_last_good_state(
    dataset: Path, tmp_path: Path
) -> None:
    wild = {**SFT, "learning_rate": 1.0, "weight_decay": 1e30, "save_steps": 1, "logging_steps": 1}
    with pytest.raises(TrainingError) as told:
        go(course(dataset, wild), tmp_path)
    message = str(told.value)
    assert "stage sft: loss or gradient is not finite at step" in message
    assert f"the last good state is {tmp_path}/state/sft/step-00000" in message
    assert "lower learning_rate (now 1)" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("stage", "counted"),
    [
        ({**SFT, "max_completion_length": 3}, {"data/completions_truncated": 120}),
        ({**GRPO, "max_prompt_length": 12, "long_prompts": "truncate"}, {}),
    ],
)
def test_what_was_cut_to_fit_is_counted_in_every_row(
    dataset: Path, tmp_path: Path, stage: dict[str, Any], counted: dict[str, float]
) -> None:
    go(course(dataset, {**stage, "eval_steps": None}), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        assert row["data/prompts_dropped"] == 0
        assert {name: row[name] for name in counted} == counted
        assert row["data/prompts_truncated"] == (40 if "max_prompt_length" in stage else 0)
