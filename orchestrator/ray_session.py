"""The Ray that a run uses: the one it was submitted to, or one of its own on this machine."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from orchestrator.config import ResourcesConfig
from orchestrator.progress import Progress
from orchestrator.quiet import ray_init_options

OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory of a Ray of our own: runs pass rows of metrics, not tensors."""
POLL_S = 1.0


@contextmanager
def ray_session(resources: ResourcesConfig, *, verbose: bool, progress: Progress) -> Iterator[None]:
    """Join the running Ray named by RAY_ADDRESS, or start one and stop it at the end.

    Raises ValueError where a joined cluster does not offer the CPUs and GPUs asked for within
    `resources.start_timeout_s`.
    """
    if ray.is_initialized():
        _await_resources(resources, progress)
        yield
        return
    joins = bool(os.environ.get("RAY_ADDRESS"))
    with progress.waiting("Ray to answer" if joins else "Ray to start"):
        options = ray_init_options(verbose=verbose)
        if joins:
            ray.init(**options)
        else:
            # One process less: nobody takes this machine away in the middle of a run.
            os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
            ray.init(
                address="local",
                num_cpus=_cpus(resources),  # Ray starts an idle process for each CPU it is given
                object_store_memory=OBJECT_STORE_BYTES,
                dashboard_host="127.0.0.1",
                **options,
            )
    try:
        _await_resources(resources, progress)
        yield
    finally:
        ray.shutdown()


def _cpus(resources: ResourcesConfig) -> int:
    return int(-(-max(1, resources.num_workers) * resources.cpus_per_worker // 1))


def _await_resources(resources: ResourcesConfig, progress: Progress) -> None:
    """Wait until the cluster has what the workers need, which an autoscaler may have to add."""
    workers = max(1, resources.num_workers)
    wanted = {
        "CPU": workers * resources.cpus_per_worker,
        "GPU": workers * resources.gpus_per_worker,
    }
    deadline = time.monotonic() + resources.start_timeout_s
    while True:
        offered = ray.cluster_resources()
        short = [name for name, amount in wanted.items() if offered.get(name, 0) < amount]
        if not short:
            return
        name = short[0]
        need = f"{wanted[name]:g} {name}s, the cluster has {offered.get(name, 0):g}"
        if time.monotonic() > deadline:
            raise ValueError(
                f"resources.num_workers {workers} needs {need}: lower it, or add nodes "
                f"(waited {resources.start_timeout_s:g} s, resources.start_timeout_s)"
            )
        with progress.waiting(f"nodes ({need})"):
            time.sleep(min(POLL_S, max(0.05, deadline - time.monotonic())))
