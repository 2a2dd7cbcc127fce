"""The GRPO stage: groups without signal, refills, micro-batches, what is logged."""

from pathlib import Path

import pytest
import torch

from tests.small_policy import gradients, make_grpo, nudge
from trainers.data import decode_completions
from trainers.grpo import Grpo
from trainers.loop import StageLoop
from trainers.metrics import Means
from trainers.models.load import Policy
from trainers.rollout_log import read_rollouts


def one_step(
    policy: Policy, folder: Path, **settings: object
) -> tuple[Grpo, dict[str, torch.Tensor], dict[str, float]]:
    with make_grpo(policy, folder, **settings) as grpo:
        means = Means()
        grpo.gradients(0, means, Means())
    return grpo, gradients(policy.model), means.take(grpo.run.workers)


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() < 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("loss_type", ("grpo", "bnpo", "dr_grpo", "dapo"))
@pytest.mark.parametrize("masked", (False, True))
def test_skipping_groups_without_signal_changes_no_gradient(
    policy: Policy, tmp_path: Path, loss_type: str, masked: bool
) -> None:
    settings = {"loss_type": loss_type, "mask_truncated_completions": masked}
    grpo, skipped, means = one_step(policy, tmp_path, dynamic_sampling="skip", **settings)
    _, trained, all_means = one_step(policy, tmp_path, dynamic_sampling="none", **settings)
    assert any(group.zero_variance for group in grpo.batch)
    assert_same(skipped, trained)
    assert means["loss/policy"] == pytest.approx(all_means["loss/policy"], abs=1e-7)
    assert means["groups/zero_variance"] == all_means["groups/zero_variance"] > 0


def test_a_kl_penalty_trains_groups_without_signal(policy: Policy, tmp_path: Path) -> None:
    _, skipped, means = one_step(policy, tmp_path, dynamic_sampling="skip", beta=0.1)
    _, trained, _ = one_step(policy, tmp_path, dynamic_sampling="none", beta=0.1)
    assert_same(skipped, trained)
    assert means["policy/kl"] > 0


@pytest.mark.parametrize("loss_type", ("grpo", "bnpo", "dr_grpo", "dapo"))
def test_micro_batches_change_neither_gradient_nor_metrics(
    policy: Policy, tmp_path: Path, loss_type: str
) -> None:
    _, whole, means = one_step(policy, tmp_path, loss_type=loss_type, entropy_coef=0.1)
    _, cut, cut_means = one_step(
        policy, tmp_path, loss_type=loss_type, entropy_coef=0.1, per_device_train_batch_size=8
    )
    assert_same(cut, whole)
    assert cut_means == pytest.approx(means, rel=1e-4, abs=1e-6)


def test_what_cut_completions_score_is_logged(policy: Policy, tmp_path: Path) -> None:
    grpo, _, means = one_step(policy, tmp_path, max_completion_length=4)
    scored = [
        (cut, reward)
        for g in grpo.batch
        for cut, reward in zip(g.truncated, g.rewards, strict=True)
    ]
    cut = [reward for was_cut, reward in scored if was_cut]
    assert 0 < len(cut) < len(scored)
    assert means["completions/truncated"] == pytest.approx(len(cut) / len(scored))
    assert means["completions/truncated_reward"] == pytest.approx(sum(cut) / len(cut))


def test_refilling_replaces_groups_without_signal(policy: Policy, tmp_path: Path) -> None:
    once, _, _ = one_step(policy, tmp_path)
    lacking = sum(group.zero_variance for group in once.batch)
    refilled, _, means = one_step(policy, tmp_path, dynamic_sampling="refill", max_refills=3)
    assert lacking > 0
    assert not any(group.zero_variance for group in refilled.batch)
    assert len(refilled.batch) > len(once.batch) - lacking
    assert refilled.cursor > once.cursor
    assert 0 < means["groups/zero_variance"] < 1


def test_old_logprobs_are_the_samplers_own(policy: Policy, tmp_path: Path) -> None:
    """After the weights move, the second pass measures its ratio against the first samples."""
    with make_grpo(policy, tmp_path, num_iterations=2, epsilon=0.01) as grpo:
        first, second = Means(), Means()
        grpo.gradients(0, first, Means())
        batch = grpo.batch
        nudge(policy.model)
        grpo.gradients(1, second, Means())
        assert grpo.batch is batch
        grpo.gradients(2, Means(), Means())
        assert grpo.batch is not batch
    before, after = first.take(grpo.run.workers), second.take(grpo.run.workers)
    assert before["policy/clip_fraction"] == 0
    assert before["sampler/mismatch"] < 1e-5
    assert after["policy/clip_fraction"] > 0
    assert "sampler/mismatch" not in after


def test_a_batch_is_split_over_steps_without_loss(policy: Policy, tmp_path: Path) -> None:
    with make_grpo(policy, tmp_path, steps_per_generation=2) as grpo:
        seen = []
        for step in range(2):
            means = Means()
            grpo.gradients(step, means, Means())
            part = grpo.batch[step::2]
            assert grpo._count(part)[0].num_completions == 4 * len(part)
            seen += part
        assert sorted(map(id, seen)) == sorted(map(id, grpo.batch))
        assert not grpo.between_batches(1)
        assert grpo.between_batches(2)


def test_a_step_without_signal_leaves_the_weights_to_themselves(
    policy: Policy, tmp_path: Path
) -> None:
    """One group a step; AdamW's momentum would move the weights where a group has no signal."""
    settings = {"steps_per_generation": 6, "max_steps": 6, "dynamic_sampling": "none"}
    with make_grpo(policy, tmp_path, **settings) as grpo:
        loop = StageLoop(grpo.config, policy, grpo, grpo.run, grpo.records)
        moved, weight = [], loop.weights.parameters[0]
        for step in range(6):
            before = weight.detach().clone()
            loop._step(step)
            moved.append(not torch.equal(before, weight))
        skipped = loop.means.take(grpo.run.workers)["optim/skipped_steps"]
    assert moved == [not group.zero_variance for group in grpo.batch]
    assert skipped == pytest.approx(1 - sum(moved) / 6)
    assert loop.optimizer.state[weight]["step"] == sum(moved)
    assert False in moved[moved.index(True) :], "no momentum was there to be kept from moving"


@pytest.mark.parametrize(
    ("settings", "learns"),
    [
        ({}, False),
        ({"dynamic_sampling": "none"}, False),
        ({"dynamic_sampling": "refill"}, False),
        ({"beta": 0.1}, True),
        ({"entropy_coef": 0.1}, False),
        ({"entropy_coef": 0.1, "dynamic_sampling": "none"}, True),
        ({"beta": 0.1, "mask_truncated_completions": True}, False),
    ],
)
def test_completions_that_are_all_wrong_teach_what_the_loss_says(
    policy: Policy, tmp_path: Path, settings: dict[str, object], learns: bool
) -> None:
    with make_grpo(policy, tmp_path, max_completion_length=1, **settings) as grpo:
        assert grpo.gradients(0, Means(), Means()) == learns
    found = gradients(policy.model)
    assert any(gradient.any() for gradient in found.values()) == learns


def test_the_same_problem_twice_in_a_batch_is_sampled_anew(policy: Policy, tmp_path: Path) -> None:
    """Three problems, six prompts: two epochs in one batch, and two more in each refill."""
    settings = {"num_problems": 3, "dynamic_sampling": "refill", "max_refills": 2}
    one_step(policy, tmp_path / "once", num_problems=3, generation_batch_size=12)
    one_step(policy, tmp_path / "often", **settings)
    once, often = (
        {
            (row["problem_id"], row["sample"]): row["token_ids"]
            for row in read_rollouts(tmp_path / name / "rollouts" / "grpo-rank0.jsonl", 0, 100)
        }
        for name in ("once", "often")
    )
    assert len(once) == 12
    assert {key: often[key] for key in once} == once
    assert len(often) >= 24
    for start in range(4, len(often) // 3, 4):
        assert any(often[id, start + i] != often[id, i] for id, i in once)


def test_the_same_step_samples_the_same_and_logs_it(policy: Policy, tmp_path: Path) -> None:
    first, gradient, _ = one_step(policy, tmp_path / "a")
    second, again, _ = one_step(policy, tmp_path / "b")
    assert_same(again, gradient)
    with make_grpo(policy, tmp_path / "c", seed=1) as other:
        other.gradients(0, Means(), Means())
    assert [g.completions for g in first.batch] == [g.completions for g in second.batch]
    assert [g.completions for g in first.batch] != [g.completions for g in other.batch]
    rows = read_rollouts(tmp_path / "a" / "rollouts" / "grpo-rank0.jsonl", 0, 100)
    assert len(rows) == 24
    flat = [(g, i) for g in first.batch for i in range(4)]
    for row, (group, index) in zip(rows, flat, strict=True):
        assert row["problem_id"] == group.problem.id
        assert row["token_ids"] == group.completions[index]
        assert row["reward"] == group.rewards[index]
        assert row["advantage"] == pytest.approx(group.advantages[index])
        assert (row["step"], row["policy_step"], row["sample"]) == (1, 0, index)
        assert [row["text"]] == decode_completions(policy, [row["token_ids"]])
