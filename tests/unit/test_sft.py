"""Supervised fine-tuning: the loss of completions alone, rows that share a prompt in one group."""

import copy
from contextlib import closing
from pathlib import Path

import pytest
import torch

from reward_fns.records import Problem
from tests.small_models import save_small_model
from tests.small_policy import gradients, make_run, sat_problems
from trainers.config import HfModelConfig, SftConfig, TinyModelConfig
from trainers.engine.select import make_engine
from trainers.loop import StageLoop
from trainers.metrics import Means
from trainers.models.load import Policy, load_policy
from trainers.records import StageRecords
from trainers.sft import Sft


@pytest.fixture
def policy() -> Policy:
    return load_policy(TinyModelConfig(hidden_size=32, num_hidden_layers=2), 0, "cpu")


def make_sft(policy: Policy, folder: Path, problems: list[Problem], **settings: object) -> Sft:
    base = {"max_completion_length": 6, "batch_size": 12, "max_steps": 4}
    config = SftConfig(type="sft", dataset="main", **(base | settings))
    engine = make_engine(policy.model)
    return Sft(config, policy, engine, problems, make_run(folder), "sft", None)


def demonstrations() -> list[Problem]:
    """Ten problems, each with three answers in adjacent rows."""
    answers = ("+1 -2", "-1 +2 +3", "+1")
    return [
        Problem(f"{p.id}-{i}", p.task, p.split, p.index, p.prompt, answer, p.env, p.difficulty)
        for p in sat_problems(10)
        for i, answer in enumerate(answers)
    ]


def step(sft: Sft) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    means = Means()
    sft.gradients(0, means, Means())
    return gradients(sft.engine.decoder.model), means.take(sft.run.workers)


def test_loss_and_gradient_are_those_of_labelled_rows(policy: Policy, tmp_path: Path) -> None:
    sft = make_sft(policy, tmp_path, demonstrations())
    ours, means = step(sft)
    indices, _ = sft.order.take(0, sft.cursor)
    rows = [(sft.groups[i].prompt, c) for i in indices for c in sft.groups[i].completions]
    assert len(rows) == 12
    width = max(len(p) + len(c) for p, c in rows)
    ids, labels = torch.zeros(12, width).long(), torch.full((12, width), -100)
    for i, (prompt, completion) in enumerate(rows):
        ids[i, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
        labels[i, len(prompt) : len(prompt) + len(completion)] = torch.tensor(completion)
    loss = policy.model(input_ids=ids, labels=labels).loss
    loss.backward()
    theirs = gradients(policy.model)
    assert means["loss/train"] == pytest.approx(loss.item(), rel=1e-5)
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() < 1e-5 * gradient.norm(), name


def test_rows_that_share_a_prompt_are_one_group(policy: Policy, tmp_path: Path) -> None:
    sft = make_sft(policy, tmp_path, demonstrations())
    assert [len(group.completions) for group in sft.groups] == [3] * 10
    assert all(c[-1] == policy.eos_token_ids[0] for g in sft.groups for c in g.completions)
    _, means = step(sft)
    assert means["data/tokens"] == sum(
        len(sft.groups[i].prompt) + sum(map(len, sft.groups[i].completions))
        for i in sft.order.take(0, sft.cursor)[0]
    )


def test_micro_batches_change_nothing(policy: Policy, tmp_path: Path) -> None:
    whole, means = step(make_sft(policy, tmp_path, demonstrations()))
    cut, cut_means = step(
        make_sft(policy, tmp_path, demonstrations(), per_device_train_batch_size=3)
    )
    for name, gradient in whole.items():
        torch.testing.assert_close(cut[name], gradient, atol=1e-6, rtol=1e-4)
    assert cut_means == pytest.approx(means)


def test_long_answers_are_cut_and_counted(policy: Policy, tmp_path: Path) -> None:
    sft = make_sft(policy, tmp_path, demonstrations(), max_completion_length=3)
    assert sft.counts["data/completions_truncated"] == 10
    assert max(len(c) for g in sft.groups for c in g.completions) == 3


def test_bfloat16_learns_as_float32_does(tmp_path: Path) -> None:
    """At 1e-6 an update is less than bfloat16 can add to most weights: it is kept in float32."""
    save_small_model("qwen3", tmp_path / "model")
    moved, falls = {}, {}
    for dtype in ("float32", "bfloat16"):
        model = HfModelConfig(type="hf", path=str(tmp_path / "model"), dtype=dtype)
        policy, folder = load_policy(model, 0, "cpu"), tmp_path / dtype
        with torch.no_grad():
            for parameter in policy.model.parameters():
                parameter.copy_(parameter.bfloat16())  # the same start
        sft = make_sft(policy, folder, demonstrations(), learning_rate=1e-6, max_steps=100)
        with closing(StageRecords(sft.run, "sft", with_rollouts=False)) as records:
            loop = StageLoop(sft.config, policy, sft, sft.run, records)
            start, loss = flat(loop), exact_loss(sft)
            loop.train()
        moved[dtype], falls[dtype] = flat(loop) - start, loss - exact_loss(sft)
        assert policy.model.dtype == getattr(torch, dtype)
    error = moved["bfloat16"] - moved["float32"]
    assert error.norm() < 0.05 * moved["float32"].norm()
    assert moved["float32"].count_nonzero() > 0.98 * error.numel()
    assert moved["bfloat16"].count_nonzero() > 0.98 * error.numel()
    assert falls["bfloat16"] == pytest.approx(falls["float32"], rel=0.05)


def exact_loss(sft: Sft) -> float:
    """The loss of the model's weights, rounded as they are, computed in float32."""
    engine = make_engine(copy.deepcopy(sft.engine.decoder.model).float())
    with torch.no_grad():
        logprobs, _ = engine.logprobs(
            [group.prompt for group in sft.groups], [group.completions for group in sft.groups]
        )
    return -float(logprobs.mean())


def flat(loop: StageLoop) -> torch.Tensor:
    """All weights that the optimizer changes."""
    return torch.cat([weight.detach().flatten() for weight in loop.weights.parameters])
