"""Runs a function over numbered things with Ray Data.

    for number, row in map_numbers(function, 60, workers=2): ...

Results come as they are done. Ray starts a task again for ever whose worker dies, from its first
number on: a function that may kill its worker has to count its own starts, and to find what is
done.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import ray
import ray.data
from ray.data import DataContext, TaskPoolStrategy

TASKS_EACH = 4
"""Tasks of each worker: between two, Ray Data leaves it idle for about .2 s; and the more there
are, the less the others wait for the last."""
FEW = 32
"""With fewer things Ray Data takes too long to begin: a second for each call."""
BLOCK_BYTES = 1
"""No block holds two rows: each is sent once it is there, not when its task ends."""

Function = Callable[[int], dict[str, Any]]


def map_numbers(
    function: Function, count: int, *, workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each number below `count` with the row that `function` makes of it in some worker."""
    if count < FEW:
        yield from _by_tasks(function, count, workers)
        return

    def mapped(batch: dict[str, np.ndarray]) -> Iterator[dict[str, list[Any]]]:
        for number in batch["id"].tolist():
            yield {"id": [number], **{name: [cell] for name, cell in function(number).items()}}

    num_tasks = TASKS_EACH * workers
    with DataContext.current(_quiet_context()):
        numbers = ray.data.range(count, override_num_blocks=num_tasks, concurrency=workers)
        tasks = TaskPoolStrategy(size=workers)
        rows = numbers.map_batches(mapped, batch_size=None, compute=tasks)
        for row in rows.iter_rows():
            yield row.pop("id"), row


def _by_tasks(function: Function, count: int, workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Do few things as tasks of Ray's own, as many at a time as there are workers."""
    task = ray.remote(num_cpus=1, max_retries=-1)(function)
    waiting = list(range(count))[::-1]
    running: dict[ray.ObjectRef, int] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number = waiting.pop()
            running[task.remote(number)] = number
        (done,), _ = ray.wait(list(running), num_returns=1)
        yield running.pop(done), ray.get(done)


def _quiet_context() -> DataContext:
    """Settings that leave the terminal to us, and errors to the caller; Ray's log file has all."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    context.target_max_block_size = BLOCK_BYTES
    return context
