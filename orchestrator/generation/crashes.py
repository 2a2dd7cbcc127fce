"""Finds the one item that always kills its worker, by halving the range that holds it."""

from collections.abc import Callable

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)

DEATHS = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, LocalRayletDiedError)


def find_deadly(kills: Callable[[int, int], bool], start: int, stop: int) -> int | None:
    """Return an item of a range that kills its worker all alone, None if no item does.

    `kills(start, stop)` tells of a part of the range whether it does; each half is asked at most
    once.
    """
    while stop - start > 1:
        middle = (start + stop) // 2
        if kills(start, middle):
            stop = middle
        elif kills(middle, stop):
            start = middle
        else:
            return None
    return start if kills(start, stop) else None


def kills_worker(function: Callable[[int, int], object], start: int, stop: int, tries: int) -> bool:
    """Run a function on a range in a worker of its own; tell whether that dies each time."""
    task = ray.remote(num_cpus=1, max_retries=0, max_calls=1)(function)
    for _ in range(tries):
        try:
            ray.get(task.remote(start, stop))
        except DEATHS:
            continue
        except RayTaskError:
            return False  # an exception is no death
        return False
    return True
