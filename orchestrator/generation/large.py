"""Makes datasets, and certifies them, on a Ray of this machine or of a cluster."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray

from datagen.blocks.build import build_in_blocks
from datagen.certify import certify
from datagen.config import AbdConfig, MixConfig, SatConfig
from datagen.manifest import Manifest
from orchestrator.config import ResourcesConfig
from orchestrator.generation.certification import RayEach
from orchestrator.generation.ray_run import RayRun
from orchestrator.generation.steps import ShownSteps
from orchestrator.progress import Progress
from orchestrator.quiet import ray_address
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
        run, steps = RayRun(num_cpus(resources)), ShownSteps(progress, folder.name)
        return build_in_blocks(config, folder, seed, run, steps=steps, max_dropped=max_dropped)


def make_on_ray(
    config: SatConfig | AbdConfig | MixConfig,
    folder: Path,
    seed: int,
    *,
    workers: int | None,
    max_dropped: float,
    formats: Sequence[str],
    progress: Progress,
) -> tuple[Manifest, Counter[str]]:
    """Make a dataset, and certify it if there are `formats` that its rows must be records of."""
    with opened(workers, progress, verbose=False) as resources:
        manifest = generate_dataset(
            config,
            folder,
            seed,
            resources=resources,
            progress=progress,
            max_dropped=max_dropped,
        )
        if not formats:
            return manifest, Counter()
        num_rows = sum(split.num_rows for split in manifest.splits.values())
        own = num_cpus(resources)
        return manifest, certify_dataset(folder, formats, num_rows, workers=own, progress=progress)


def certify_dataset(
    folder: Path, formats: Sequence[str], num_rows: int, *, workers: int, progress: Progress
) -> Counter[str]:
    """Certify a dataset on the Ray that is there."""
    with progress.task(f"certify {folder.name}", num_rows) as task:
        starts = folder.parent / f".{folder.name}.certify"
        return certify(folder, formats, RayEach(workers, starts, task))


@contextmanager
def opened(workers: int | None, progress: Progress, verbose: bool) -> Iterator[ResourcesConfig]:
    """Open a Ray with so many workers, by default with all CPUs of machine or cluster."""
    joins = ray_address() is not None
    own = workers or (1 if joins else len(os.sched_getaffinity(0)))
    with ray_session(ResourcesConfig(num_workers=own), verbose=verbose, progress=progress):
        if workers is None and joins:
            own = max(1, int(ray.cluster_resources().get("CPU", 1)))
        yield ResourcesConfig(num_workers=own)


def num_cpus(resources: ResourcesConfig) -> int:
    """Return how many parts are made at a time, each on one CPU."""
    return max(1, int(max(1, resources.num_workers) * resources.cpus_per_worker))
