"""What workers do together, on one worker and on two real ones."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from trainers.parallel import Workers


def step_without_gradient(workers: Workers, folder: Path) -> torch.Tensor:
    """A parameter after a step with a gradient and a step in which no worker has one."""
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.5)
    for gradient in (torch.tensor([1.0, 2.0]) / workers.world_size, None):
        optimizer.zero_grad(set_to_none=True)
        parameter.grad = gradient
        workers.sum_gradients([parameter])
        optimizer.step()
    return parameter.detach()


CASES: dict[str, dict[str, Any]] = {
    "steps": {"steps_per_generation": 3, "num_iterations": 2, "max_steps": 9},
    "more steps than groups of a worker": {
        "steps_per_generation": 4, "generation_batch_size": 16, "max_steps": 8,
    },
    "the same problems again": {
        "num_problems": 4, "dynamic_sampling": "refill", "steps_per_generation": 2,
        "scale_rewards": "batch", "mask_truncated_completions": True,
    },
    "bfloat16": {"dtype": torch.bfloat16, "steps_per_generation": 2, "entropy_coef": 0.01},
}  # fmt: skip


def stages(workers: Workers, folder: Path) -> dict[str, Any]:
    """GRPO stages that start from the policy in `folder`: weights, optimizer steps and samples."""
    from tests.small_policy import make_grpo
    from trainers.config import TinyModelConfig
    from trainers.loop import StageLoop
    from trainers.models.load import load_policy
    from trainers.rollout_log import read_rollouts

    found = {}
    for case, given in CASES.items():
        settings = dict(given)
        policy = load_policy(TinyModelConfig(hidden_size=48, num_hidden_layers=2), 0, "cpu")
        policy.model.load_state_dict(torch.load(folder / "policy.pt"))
        policy.model.to(settings.pop("dtype", torch.float32))
        out = folder / f"{workers.world_size}" / case
        with make_grpo(policy, out, workers=workers, learning_rate=1e-3, **settings) as grpo:
            loop = StageLoop(grpo.config, policy, grpo, grpo.run, grpo.records)
            loop.train()
        weights = loop.weights.by_name
        steps = {float(loop.optimizer.state[weight]["step"]) for weight in weights.values()}
        rollouts = read_rollouts(out / "rollouts" / f"grpo-rank{workers.rank}.jsonl", 0, 1000)
        keys = ("step", "problem_id", "sample", "token_ids")
        found[case] = weights, steps, [tuple(str(row[key]) for key in keys) for row in rollouts]
    return found


def worker(rank: int, folder: Path, act: Callable[[Workers, Path], Any]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    workers = Workers(rank, 2)
    assert workers.gather({"rank": rank}) == [{"rank": 0}, {"rank": 1}]
    assert workers.sum([rank + 1.0, 0.5]) == [3.0, 1.0]
    assert workers.share(list(range(5))) == [[0, 2, 4], [1, 3]][rank]
    assert workers.share(list(range(7)), 2) == [[0, 1, 4, 5], [2, 3, 6]][rank]
    torch.save(act(workers, folder), folder / f"{rank}.pt")
    dist.destroy_process_group()


def on_two(folder: Path, act: Callable[[Workers, Path], Any]) -> list[Any]:
    """Return what `act` gives on each of two workers."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=worker, args=(rank, folder, act)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_one_worker_and_two_take_the_same_step(tmp_path: Path) -> None:
    alone = step_without_gradient(Workers(), tmp_path)
    for parameter in on_two(tmp_path, step_without_gradient):
        assert torch.equal(parameter, alone)


Trained = tuple[dict[str, torch.Tensor], dict[str, Any], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The weights at the start, the stages on one worker, and on each of two."""
    from tests.small_policy import format_policy

    folder = tmp_path_factory.mktemp("stages")
    torch.save(format_policy(folder).model.state_dict(), folder / "policy.pt")
    return torch.load(folder / "policy.pt"), stages(Workers(), folder), on_two(folder, stages)


@pytest.mark.parametrize("case", CASES)
def test_a_stage_does_not_depend_on_the_number_of_workers(trained: Trained, case: str) -> None:
    start, alone, pair = trained
    weights, steps, rollouts = alone[case]
    assert sorted(rollouts) == sorted(pair[0][case][2] + pair[1][case][2])
    assert len(set(rollouts)) == len(rollouts)
    for mine, their_steps, _ in (result[case] for result in pair):
        assert their_steps == steps
        for name, weight in mine.items():
            assert torch.equal(weight, pair[0][case][0][name])
            error, moved = weight - weights[name], weights[name] - start[name]
            assert error.norm() < (2e-2 if case == "bfloat16" else 1e-4) * moved.norm(), name
