"""The GRPO stage: groups without signal, refills, micro-batches, what is logged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reward_fns.records import Score
from reward_fns.registry import REWARDS
from tests.small_policy import gradients, make_grpo, make_run, nudge, sat_problems
from trainers.config import EvaluationConfig
from trainers.data import decode_completions
from trainers.engine.select import make_engine
from trainers.evaluate import answer_problems, encode_for_evaluation, evaluate_policy
from trainers.grpo import Grpo
from trainers.journal import read_chained
from trainers.loop import StageLoop
from trainers.metrics import Means
from trainers.models.load import Policy
from trainers.parallel import Workers
from trainers.rollout_log import read_rollouts
from trainers.validation import Validation


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


def test_what_a_function_failed_to_judge_is_left_out_of_its_group(
    policy: Policy, tmp_path: Path
) -> None:
    """Its other functions' part alone would count the failed one as 0."""

    def failing(texts: Sequence[str], envs: Sequence[str]) -> list[Score]:
        return [Score(None, "sandbox") if len(text) % 2 else Score(1.0, "ok") for text in texts]

    with make_grpo(policy, tmp_path, reward_funcs=("sat", "sat_fraction")) as grpo:
        last = replace(REWARDS["sat_fraction"], score_batch=failing)
        grpo.scorer.rewards = [REWARDS["sat"], REWARDS["abd"], last]
        grpo.scorer.weights = (1.0, 1.0, 1.0)
        means = Means()
        grpo.gradients(0, means, Means())
    unscored = 0
    for group in grpo.batch:
        failed = [len(text) % 2 == 1 for text in group.texts]
        assert np.isnan(group.rewards).tolist() == failed
        assert not group.advantages[failed].any()
        assert [reason == "sandbox" for reason in group.reasons] == failed
        scored = group.rewards[~np.isnan(group.rewards)]
        if not group.zero_variance:
            wanted = (scored - scored.mean()) / (scored.std(ddof=1) + 1e-4)
            np.testing.assert_allclose(group.advantages[~np.array(failed)], wanted)
        unscored += sum(failed)
    assert 0 < unscored < 24
    assert means.take(grpo.run.workers)["reward/unscored"] == unscored / 24


def test_rewards_for_another_task_are_refused(policy: Policy, tmp_path: Path) -> None:
    refused = pytest.raises(ValueError, match="reward_funcs abd is for no problem of task sat: use")
    with refused, make_grpo(policy, tmp_path, reward_funcs=("abd",)):
        pass


def test_problems_with_equal_ids_get_answers_of_their_own(policy: Policy, tmp_path: Path) -> None:
    config = EvaluationConfig(dataset="main", num_samples=3, max_completion_length=5, batch_size=2)
    first, second, third = sat_problems(3)
    problems = [first, second, third, replace(first, prompt=first.prompt)]
    run = make_run(tmp_path)
    evaluate_policy(policy, make_engine(policy.model), problems, config, run, "base")
    rows = [line.row for line in read_chained(run.evaluation("base"))]
    assert rows[0]["id"] == rows[3]["id"] and rows[0]["greedy"] == rows[3]["greedy"]
    assert rows[0]["samples"] != rows[3]["samples"]
    alone = answer_problems(
        policy, make_engine(policy.model), problems[:1],
        encode_for_evaluation(policy, problems[:1], config), config, 0,
    )  # fmt: skip
    assert alone == rows[:1]


def test_validation_leaves_out_what_has_no_score(policy: Policy, tmp_path: Path) -> None:
    config = EvaluationConfig(
        dataset="main", reward_funcs=("sat",), max_completion_length=5, batch_size=4
    )
    problems = sat_problems(12)
    others = [replace(problem, task="other") for problem in problems]
    engine = make_engine(policy.model)
    rates = Validation(policy, engine, problems, config, Workers()).measure()
    mixed = Validation(policy, engine, [*problems, *others], config, Workers()).measure()
    assert 0 < rates["validation/solved"] < 1
    assert mixed == rates | {"validation/sat": rates["validation/solved"]}


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
