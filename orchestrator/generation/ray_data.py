"""Runs a function over numbered things with Ray Data: each is a block of one row, one task.

    for number, row in map_numbers(function, 60, workers=2): ...

Results come as they are done. Ray starts a task again for ever whose worker dies: a function that
may kill its worker has to count its own starts.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import ray.data
from ray.data import DataContext, TaskPoolStrategy


def map_numbers(
    function: Callable[[int], dict[str, Any]], count: int, *, workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each number below `count` with the row that `function` makes of it in some worker."""

    def mapped(batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        numbers = batch["id"].tolist()
        rows = [function(number) for number in numbers]
        return {"id": numbers} | {key: [row[key] for row in rows] for key in rows[0]}

    workers = min(workers, count)
    with DataContext.current(_quiet_context()):
        numbers = ray.data.range(count, override_num_blocks=count, concurrency=workers)
        tasks = TaskPoolStrategy(size=workers)
        rows = numbers.map_batches(mapped, batch_size=None, compute=tasks)
        for row in rows.iter_rows():
            yield row.pop("id"), row


def _quiet_context() -> DataContext:
    """Settings that leave the terminal to us, and errors to the caller; Ray's log file has all."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    return context
