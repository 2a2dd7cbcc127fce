"""What can be known of a run before it starts: refused within seconds, all mistakes together.

    refuse_mistakes(config, to_make=["main"], trains=True)

The config by itself is checked where it is read; here it is held against the machine, the folders
and the services that it names.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import ray
from ray._private.accelerators import get_accelerator_manager_for_resource

from datagen.abd_config import AbdProblems
from datagen.config import DatasetConfig, DimacsConfig, MixConfig, PathConfig
from datagen.manifest import load_manifest
from orchestrator.config import MlflowConfig, ResourcesConfig, RunConfig, run_folder
from orchestrator.failures import RunRefused
from orchestrator.prompt_checks import model_mistakes
from orchestrator.quiet import ray_address
from orchestrator.ray_session import num_cpus, refuse_wrong_address
from orchestrator.responder import check_api_key
from orchestrator.tracking_store import refuse_unreachable, tracking_uri
from trainers.config import HfModelConfig
from trainers.models.sources import model_problems

Value = TypeVar("Value")


def refuse_mistakes(config: RunConfig, *, to_make: Sequence[str], trains: bool) -> None:
    """Raise RunRefused, one line for each mistake; a run that does not train needs no Ray.

    `to_make` names the datasets that are not there yet.
    """
    mistakes = [*_folder_mistakes(config), *_model_mistakes(config)]
    for name, dataset in config.datasets.items():
        mistakes += _dataset_mistakes(config, name, dataset, name in to_make)
    if isinstance(config.tracking, MlflowConfig):
        uri = tracking_uri(config.tracking, run_folder(config).resolve().parent)
        mistakes += _told(refuse_unreachable, uri)
    if trains and not ray.is_initialized():
        address = ray_address()
        mistakes += (
            _machine_mistakes(config.resources)
            if address is None
            else _told(refuse_wrong_address, address)
        )
    if mistakes:
        raise RunRefused("\n".join(mistakes))


def _told(check: Callable[[Value], object], value: Value) -> Iterator[str]:
    """What a check refuses a value with."""
    try:
        check(value)
    except ValueError as error:
        yield str(error)


def _folder_mistakes(config: RunConfig) -> Iterator[str]:
    folder = run_folder(config).resolve()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir():
        yield f'storage is "{config.storage}", and {place} is a file: use a folder'
    elif not os.access(place, os.W_OK | os.X_OK):
        yield f'storage is "{config.storage}", and {place} cannot be written: use another folder'


def _model_mistakes(config: RunConfig) -> Iterator[str]:
    """A model that cannot be loaded, or cannot read its prompts; a tiny one is checked before."""
    model = config.model
    if isinstance(model, HfModelConfig):
        yield from model_problems(model)
        yield from model_mistakes(model, config.datasets, config.stages, config.evaluation)


def _dataset_mistakes(
    config: RunConfig, name: str, dataset: DatasetConfig, to_make: bool
) -> Iterator[str]:
    if isinstance(dataset, PathConfig):
        yield from _path_mistakes(config, name, dataset)
        return
    if not to_make:
        return
    yield from _told(check_api_key, dataset)
    path = _source_file(dataset)
    if path is not None and not path.exists():
        yield f"datasets.{name} reads {path}, which is not there"


def _path_mistakes(config: RunConfig, name: str, dataset: PathConfig) -> Iterator[str]:
    """A dataset that is none, or has not the splits that are asked for."""
    folder = Path(dataset.path)
    if folder.is_file():
        yield (
            f'datasets.{name}.path is "{dataset.path}", a file: a dataset is a folder with a '
            "manifest.json, as `clutch datagen` and `clutch dataset` write it"
        )
        return
    try:
        splits = load_manifest(folder).splits
    except ValueError as error:
        yield f'datasets.{name}.path is "{dataset.path}": {error}'
        return
    for where, split in _used_splits(config, name):
        if split not in splits:
            yield f'{where}: dataset {name} has no split "{split}": it has {", ".join(splits)}'


def _used_splits(config: RunConfig, name: str) -> Iterator[tuple[str, str]]:
    """Where a split of a dataset is asked for, and its name."""
    for index, stage in enumerate(config.stages):
        if stage.dataset == name:
            yield f"stages.{index}.split", stage.split
            if stage.eval_steps is not None:
                yield f"stages.{index}.eval_split", stage.eval_split
    if config.evaluation.dataset == name:
        yield from (("evaluation.splits", split) for split in config.evaluation.splits)


def _source_file(dataset: DatasetConfig) -> Path | None:
    """The file, or folder of files, that a dataset is made from."""
    if isinstance(dataset, DimacsConfig):
        return Path(dataset.path)
    problems = dataset.abd if isinstance(dataset, MixConfig) else dataset
    programs = problems.programs if isinstance(problems, AbdProblems) else None
    path = getattr(programs, "path", None)
    return None if path is None else Path(path)


def _machine_mistakes(resources: ResourcesConfig) -> Iterator[str]:
    """More than a Ray of this machine can have: it would wait for it in vain, or crawl."""
    workers, cpus, gpus = max(1, resources.num_workers), len(os.sched_getaffinity(0)), _num_gpus()
    if num_cpus(resources) > cpus:
        yield (
            f"resources.num_workers {workers} with cpus_per_worker {resources.cpus_per_worker:g} "
            f"need {num_cpus(resources)} CPUs, and this machine has {cpus}: lower one of them"
        )
    if workers * resources.gpus_per_worker > gpus:
        yield (
            f"resources.gpus_per_worker {resources.gpus_per_worker:g} for {workers} workers needs "
            f"{workers * resources.gpus_per_worker:g} GPUs, and this machine has {gpus}: set it to "
            "0, or RAY_ADDRESS to a cluster that has them"
        )


def _num_gpus() -> int:
    """GPUs of this machine, as a Ray of our own would count them."""
    manager = get_accelerator_manager_for_resource("GPU")
    if manager is None:
        return 0
    visible = manager.get_current_process_visible_accelerator_ids()
    there = int(manager.get_current_node_num_accelerators())
    return there if visible is None else min(there, len(visible))
