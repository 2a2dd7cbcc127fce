"""The workers of a stage: who this one is, and the few things they do together.

Works on torch.distributed where a process group stands (Ray Train starts it), and alone otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

Value = TypeVar("Value")


@dataclass(frozen=True)
class Workers:
    """This worker among its group."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this worker writes what is written once."""
        return self.rank == 0

    def share(self, items: Sequence[Any], run_length: int = 1) -> list[Any]:
        """Return this worker's part of `items`, which are dealt in runs of `run_length`."""
        return [
            item for i, item in enumerate(items) if i // run_length % self.world_size == self.rank
        ]

    def sum(self, values: Sequence[float]) -> list[float]:
        """Add up `values` over all workers, in float64."""
        if self.world_size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return list(total.tolist())

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up gradients over all workers; a missing gradient counts as zero.

        It does so for one worker too: an optimizer leaves out parameters without a gradient, and
        a step without any would end otherwise than on two workers.
        """
        by_type: dict[torch.dtype, list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            by_type.setdefault(parameter.dtype, []).append(parameter)
        for group in by_type.values() if self.world_size > 1 else ():
            gradients: list[Tensor] = [p.grad for p in group if p.grad is not None]
            flat = _flatten_dense_tensors(gradients)
            dist.all_reduce(flat)
            for gradient, total in zip(
                gradients, _unflatten_dense_tensors(flat, gradients), strict=True
            ):
                gradient.copy_(total)

    def gather(self, value: Any) -> list[Any]:
        """Return every worker's `value`, in order of rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def first(self, value: Value) -> Value:
        """Return the first worker's `value`, so that all workers take the same way."""
        first: Value = self.gather(value)[0]
        return first

    def barrier(self) -> None:
        """Wait until every worker has come here."""
        if self.world_size > 1:
            dist.barrier()


def current_workers(device: torch.device) -> Workers:
    """Return this process's place in the running process group, or a group of one."""
    if dist.is_available() and dist.is_initialized():
        return Workers(dist.get_rank(), dist.get_world_size(), device)
    return Workers(0, 1, device)


def join_in_file(rank: int, folder: str, world_size: int, backend: str, timeout_s: float) -> None:
    """Join a group of one machine's processes that meet in a file of `folder`, without a port."""
    dist.init_process_group(
        backend,
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=timeout_s),
    )
