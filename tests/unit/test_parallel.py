"""What workers do together, on one worker and on two real ones."""

import multiprocessing
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from trainers.parallel import Workers


def step_without_gradient(workers: Workers) -> torch.Tensor:
    """A parameter after a step with a gradient and a step in which no worker has one."""
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.5)
    for gradient in (torch.tensor([1.0, 2.0]) / workers.world_size, None):
        optimizer.zero_grad(set_to_none=True)
        parameter.grad = gradient
        workers.sum_gradients([parameter])
        optimizer.step()
    return parameter.detach()


def worker(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    workers = Workers(rank, 2)
    gathered = workers.gather({"rank": rank})
    assert workers.sum([rank + 1.0, 0.5]) == [3.0, 1.0]
    assert workers.share(list(range(5))) == [[0, 2, 4], [1, 3]][rank]
    torch.save((step_without_gradient(workers), gathered), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_one_worker_and_two_take_the_same_step(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=worker, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    alone = step_without_gradient(Workers())
    for rank in (0, 1):
        parameter, gathered = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(parameter, alone)
        assert gathered == [{"rank": 0}, {"rank": 1}]
