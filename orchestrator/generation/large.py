"""Makes a dataset on a Ray of this machine or of a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from datagen.blocks.build import build_in_blocks
from datagen.config import AbdConfig, MixConfig, SatConfig
from datagen.manifest import Manifest
from orchestrator.config import ResourcesConfig
from orchestrator.generation.ray_run import RayRun
from orchestrator.progress import Progress
from orchestrator.ray_session import ray_session


def generate_dataset(
    config: SatConfig | AbdConfig | MixConfig,
    folder: Path,
    seed: int,
    *,
    resources: ResourcesConfig,
    progress: Progress,
    verbose: bool = False,
    max_dropped: float = 1.0,
) -> Manifest:
    """Make a dataset with as many workers as `resources` has CPUs; the same call again goes on.

    Raises ValueError as `build_in_blocks` does, and GenerationFailed where workers fail.
    """
    with ray_session(resources, verbose=verbose, progress=progress):
        return build_in_blocks(
            config,
            folder,
            seed,
            RayRun(num_cpus(resources)),
            steps=_Steps(progress, folder.name),
            max_dropped=max_dropped,
        )


def num_cpus(resources: ResourcesConfig) -> int:
    """Return how many parts are made at a time, each on one CPU."""
    return max(1, int(max(1, resources.num_workers) * resources.cpus_per_worker))


class _Steps:
    """Shows each step as a task with its rate and the time left."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name = progress, name

    @contextmanager
    def __call__(self, step: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
        with self.progress.task(f"generate {self.name}/{step}", total, done=done) as task:
            yield task.update
