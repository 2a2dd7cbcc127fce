"""Loss and gradients of a GRPO step equal those of TRL's own code on the same samples.

Our stage samples, scores and takes gradients; TRL's GRPOTrainer is handed the same completions and
does everything else itself: rewards, advantages, masks, old and reference log-probabilities, loss.
"""

import copy
import os
from pathlib import Path

import pytest
import torch

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

from tests.small_policy import gradients, make_grpo, nudge
from trainers.grpo import Grpo
from trainers.metrics import Means
from trainers.models.load import Policy
from trainers.scoring import SampledGroup

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*pin_memory:UserWarning"
)
SHARED = (
    "num_generations", "max_completion_length", "beta", "epsilon", "epsilon_high", "loss_type",
    "scale_rewards", "mask_truncated_completions", "entropy_coef", "num_iterations", "temperature",
)  # fmt: skip
LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo")


def make_trl(grpo: Grpo, folder: Path) -> GRPOTrainer:
    """TRL's trainer on a copy of the model, with the settings of `grpo`."""
    config = grpo.config
    shared = {name: getattr(config, name) for name in SHARED}
    args = GRPOConfig(
        str(folder), **shared, top_p=1.0, bf16=False, gradient_checkpointing=False, use_cpu=True,
        per_device_train_batch_size=config.generation_batch_size, report_to="none",
        reward_weights=list(grpo.scorer.weights), steps_per_generation=1,
    )  # fmt: skip
    model: PreTrainedModel = copy.deepcopy(grpo.policy.model)
    trainer = GRPOTrainer(
        model, [reward.reward_fn for reward in grpo.scorer.rewards], args,
        train_dataset=Dataset.from_dict({"prompt": ["="] * config.generation_batch_size}),
        processing_class=copy.deepcopy(grpo.policy.tokenizer),
    )  # fmt: skip
    if grpo.reference is not None:
        trainer.ref_model.load_state_dict(grpo.reference.decoder.model.state_dict())
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def hand_over(trainer: GRPOTrainer, groups: list[SampledGroup]) -> dict[str, torch.Tensor]:
    """Let TRL judge and prepare completions that were sampled by us."""
    rows = [(group, completion) for group in groups for completion in group.completions]
    output = {
        "prompt_ids": [group.prompt for group, _ in rows],
        "completion_ids": [completion for _, completion in rows],
        "logprobs": None,
    }
    trainer.rollout_func = lambda prompts, trainer: output
    return trainer._generate_and_score_completions(
        [
            {"prompt": g.problem.prompt, "task": g.problem.task, "env": g.problem.env}
            for g, _ in rows
        ]
    )


def compare(grpo: Grpo, folder: Path, steps: int = 1) -> None:
    trainer = make_trl(grpo, folder)
    inputs = None
    for step in range(steps):
        means = Means()
        grpo.gradients(step, means, Means())
        ours = gradients(grpo.policy.model)
        inputs = inputs or hand_over(trainer, grpo.batch)
        loss = trainer._compute_loss(trainer.model, inputs)
        loss.backward()
        theirs = gradients(trainer.model)
        assert means.take(grpo.run.workers)["loss/policy"] == pytest.approx(loss.item(), abs=1e-6)
        assert ours.keys() == theirs.keys()
        for name, gradient in theirs.items():
            error = (ours[name] - gradient).norm() / gradient.norm()
            assert error < 1e-5, f"{name}: {error}"
        nudge(grpo.policy.model)
        nudge(trainer.model)


@pytest.mark.parametrize("beta", (0.0, 0.04))
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_step_equals_trl(policy: Policy, tmp_path: Path, loss_type: str, beta: float) -> None:
    with make_grpo(policy, tmp_path, loss_type=loss_type, beta=beta) as grpo:
        compare(grpo, tmp_path)
    lengths = {len(c) for group in grpo.batch for c in group.completions}
    assert len(lengths) > 2, "the samples are to differ in length"
    assert {group.zero_variance for group in grpo.batch} == {True, False}


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_off_policy_steps_equal_trl(policy: Policy, tmp_path: Path, loss_type: str) -> None:
    settings = {"beta": 0.1, "num_iterations": 3, "epsilon": 0.03, "epsilon_high": 0.06}
    with make_grpo(policy, tmp_path, loss_type=loss_type, **settings) as grpo:
        compare(grpo, tmp_path, steps=3)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_masked_truncated_completions_equal_trl(
    policy: Policy, tmp_path: Path, loss_type: str
) -> None:
    settings = {"loss_type": loss_type, "mask_truncated_completions": True}
    with make_grpo(policy, tmp_path, **settings) as grpo:
        compare(grpo, tmp_path)
    assert {cut for group in grpo.batch for cut in group.truncated} == {True, False}


@pytest.mark.parametrize("scale_rewards", ("group", "batch", "none"))
def test_scaled_rewards_equal_trl(policy: Policy, tmp_path: Path, scale_rewards: str) -> None:
    rewards = {"reward_funcs": ("sat", "sat_fraction"), "reward_weights": (1.0, 0.3)}
    with make_grpo(policy, tmp_path, scale_rewards=scale_rewards, **rewards) as grpo:
        compare(grpo, tmp_path)


@pytest.mark.parametrize(
    "settings",
    (
        {"temperature": 0.7},
        {"entropy_coef": 0.1, "dynamic_sampling": "none"},
        {"entropy_coef": 0.1, "dynamic_sampling": "none", "mask_truncated_completions": True},
        {"per_device_train_batch_size": 8, "loss_type": "bnpo"},
        {"dynamic_sampling": "none"},
    ),
    ids=str,
)
def test_other_settings_equal_trl(
    policy: Policy, tmp_path: Path, settings: dict[str, object]
) -> None:
    with make_grpo(policy, tmp_path, **settings) as grpo:
        compare(grpo, tmp_path)
