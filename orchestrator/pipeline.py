"""A run from its config to its report: data, training, evaluation, evidence.

    run_pipeline(config, fresh=False, verbose=False, progress=progress)

Every step leaves a file or folder that is whole or not there, so that the same call again goes on
where the last one stopped.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

from datagen.config import PathConfig
from datagen.dataset import build_dataset, dataset_folder, verify_dataset
from datagen.manifest import MANIFEST
from datagen.whole_file import DamageError
from orchestrator.closing import close_run, print_ending
from orchestrator.config import (
    RunConfig,
    config_data,
    config_hash,
    config_identity,
    load_config,
    run_folder,
)
from orchestrator.finished_run import settle_changes
from orchestrator.generation.large import generate_dataset
from orchestrator.generation.size import is_large
from orchestrator.manifest import build_manifest, hash_checkpoint, read_manifest, write_manifest
from orchestrator.plan import PlanItem
from orchestrator.preflight import refuse_mistakes
from orchestrator.progress import Progress
from orchestrator.ray_session import ray_session
from orchestrator.reply_journal import journal_beside
from orchestrator.responder import open_responder
from orchestrator.run_files import CONFIG_NAME, lock_file
from orchestrator.tracking import IN_A_JOB, DatasetUse, Tracker, flatten, open_tracker
from orchestrator.train import launch_training
from orchestrator.usage import UsageMonitor
from orchestrator.watch import TrainingWatch
from orchestrator.yaml_source import to_yaml
from trainers.config import HfModelConfig, stage_name
from trainers.course import BASE, Course, damaged, is_evaluated, is_finished
from trainers.folders import write_text

HASH_NAME = "config.sha256"
MOST_CHANGES = 6
NOT_SET = "not set"


@dataclass(frozen=True)
class RunPaths:
    """Where the parts of a run lie."""

    config: RunConfig
    folder: Path

    def dataset(self, name: str) -> Path:
        """Folder of a dataset: in the run's, or the one that the config names."""
        return dataset_folder(self.config.datasets[name], self.folder / "datasets" / name)

    def course(self) -> Course:
        """What the workers are to do; prompts that hold a date hold that of the run's start."""
        manifest = read_manifest(self.folder)
        return Course(
            model=self.config.model,
            stages=self.config.stages,
            evaluation=self.config.evaluation,
            datasets={name: self.dataset(name).resolve() for name in self.config.datasets},
            sandbox=self.config.sandbox,
            today=date.fromisoformat(manifest.created_at[:10]) if manifest else None,
        )

    @property
    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that are evaluated, in order."""
        return [BASE, *map(stage_name, self.config.stages)]

    @property
    def is_trained(self) -> bool:
        """Whether every checkpoint of the run is there, and its answers, all of them whole."""
        loaded = isinstance(self.config.model, HfModelConfig)
        return all(
            is_evaluated(self.folder, name)
            and ((loaded and name == BASE) or is_finished(self.folder, name))
            for name in self.checkpoints
        )


def run_pipeline(config: RunConfig, *, fresh: bool, verbose: bool, progress: Progress) -> Path:
    """Do everything that a run has not done yet; return its folder.

    Raises ValueError if the folder holds a run of another config, or one that is running.
    """
    paths = RunPaths(config, run_folder(config).resolve())
    with progress.waiting("the checks before the run"):
        _refuse_mistakes(paths, fresh)
    if IN_A_JOB in os.environ and not Path(config.storage).is_absolute():
        progress.note(
            f"storage {config.storage} lies in the job's temporary folder {Path.cwd()}: set an "
            "absolute path, on a disk that all nodes share, to keep the run"
        )
    if config.sandbox.mode == "unsafe":
        progress.note("sandbox.mode is unsafe: programs run without the kernel's guards")
    with _own_folder(paths, fresh, progress):
        with UsageMonitor(paths.folder) as usage:
            hashes = _make_datasets(paths, verbose, progress)
            _describe(paths, hashes)
            tracker = _open_tracker(paths, hashes, progress)
            with _told_to(tracker):
                if not paths.is_trained:
                    _train(paths, tracker, verbose, progress)
                    _describe(paths, hashes)
        with _told_to(tracker), progress.waiting("the report"):
            result = close_run(paths.folder, usage.totals(), tracker)
    progress.close()  # what is printed within the display is erased with it
    print_ending(paths.folder, result, paths.checkpoints[-1], tracker.ui_line)
    return paths.folder


@contextmanager
def _told_to(tracker: Tracker) -> Iterator[None]:
    """Tell the tracker of a run that was stopped or failed."""
    try:
        yield
    except BaseException as error:
        tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def _refuse_mistakes(paths: RunPaths, fresh: bool) -> None:
    """Refuse before anything is made what the steps that are left cannot do."""
    names = paths.config.datasets
    to_make = [n for n in names if fresh or not (paths.dataset(n) / MANIFEST).is_file()]
    refuse_mistakes(paths.config, to_make=to_make, trains=fresh or not paths.is_trained)


def plan_run(config: RunConfig, *, fresh: bool) -> list[PlanItem]:
    """Say what `run_pipeline` would do with each step, and why; touches nothing."""
    paths = RunPaths(config, run_folder(config).resolve())
    _refuse_mistakes(paths, fresh)
    if not fresh:
        _refuse_other_config(paths)
    items = [_plan_dataset(paths, name, fresh) for name in config.datasets]
    changed = any(item.action != "skip" for item in items)
    for name in paths.checkpoints:
        items.append(_plan_checkpoint(paths, name, fresh, changed))
        changed = changed or items[-1].action != "skip"
        items.append(_plan_evaluation(paths, name, fresh))
    return [*items, PlanItem("report", "run", "written from the run's files each time")]


def _plan_dataset(paths: RunPaths, name: str, fresh: bool) -> PlanItem:
    title, folder = f"dataset {name}", paths.dataset(name)
    if isinstance(paths.config.datasets[name], PathConfig):
        return PlanItem(title, "skip", f"exists at {folder}; its hashes are checked")
    if not fresh and (folder / "manifest.json").is_file():
        return PlanItem(title, "skip", "its manifest is there; its hashes are checked")
    how = "by Ray Data" if is_large(paths.config.datasets[name]) else "in this process"
    return PlanItem(title, "run", f"generated {how}")


def _plan_checkpoint(paths: RunPaths, name: str, fresh: bool, changed: bool) -> PlanItem:
    if name == BASE and isinstance(paths.config.model, HfModelConfig):
        return PlanItem(name, "skip", f"loaded from {paths.config.model.path}")
    title = "make base" if name == BASE else f"train {name}"
    if not fresh and is_finished(paths.folder, name):
        return PlanItem(title, "skip", "its checkpoint is there and whole")
    states = sorted((paths.folder / "state" / name).glob("step-*"))
    if states and not fresh:
        return PlanItem(title, "resume", f"from {states[-1].name}")
    reason = "what it stands on is new" if changed else "its checkpoint is not there"
    return PlanItem(title, "run", reason)


def _plan_evaluation(paths: RunPaths, name: str, fresh: bool) -> PlanItem:
    if not fresh and is_evaluated(paths.folder, name):
        return PlanItem(f"evaluate {name}", "skip", "its answers are there and whole")
    return PlanItem(f"evaluate {name}", "run", "its answers are not there")


@contextmanager
def _own_folder(paths: RunPaths, fresh: bool, progress: Progress) -> Iterator[None]:
    """Hold the run's folder alone; made if it is new, emptied if `fresh`."""
    folder = paths.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(folder).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'name is "{paths.config.name}": that run is running now in {folder}; wait for '
                "it, or give this one another name"
            ) from None
        if fresh:
            _clear(folder)
        _refuse_other_config(paths)
        settle_changes(folder, progress.note, evaluates=True)
        for line in damaged(folder, paths.checkpoints):
            progress.note(line)
        folder.mkdir(exist_ok=True)
        write_text(folder / CONFIG_NAME, to_yaml(config_data(paths.config)))
        write_text(folder / HASH_NAME, config_hash(paths.config) + "\n")
        yield


def _clear(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / HASH_NAME).is_file():
        raise ValueError(f"--fresh would delete {folder}, which is no run's folder: choose another")
    shutil.rmtree(folder, ignore_errors=True)


def _refuse_other_config(paths: RunPaths) -> None:
    saved, earlier = paths.folder / HASH_NAME, read_manifest(paths.folder)
    mine = config_hash(paths.config)
    if earlier is not None:
        # It holds the same hash, and can prove that its bytes are right.
        same = earlier.config_hash == mine
    else:
        same = not saved.is_file() or saved.read_bytes().strip() == mine.encode()
    if same:
        return
    if earlier is not None:
        there = RunConfig.model_validate(earlier.config)
    else:
        there = load_config(paths.folder / CONFIG_NAME).config
    changes = _changes(there, paths.config)
    if changes:
        more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
        raise ValueError(
            f'name is "{paths.config.name}", and {paths.folder} holds a run of another config '
            f"({'; '.join(changes[:MOST_CHANGES])}{more}): give this run another name, or start "
            "over with --fresh"
        )


def _changes(saved: RunConfig, config: RunConfig) -> list[str]:
    """Each key on which the result depends that has another value than the saved one, with both."""
    there, here = flatten(config_identity(saved)), flatten(config_identity(config))
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    return [f"{k} is {there.get(k, NOT_SET)} there, {here.get(k, NOT_SET)} here" for k in keys]


def _make_datasets(paths: RunPaths, verbose: bool, progress: Progress) -> dict[str, str]:
    hashes = {}
    for name, config in paths.config.datasets.items():
        if isinstance(config, PathConfig):
            hashes[name] = verify_dataset(Path(config.path)).dataset_hash
            continue
        folder = paths.folder / "datasets" / name
        folder.parent.mkdir(exist_ok=True)
        if is_large(config) and not (folder / MANIFEST).is_file():
            hashes[name] = generate_dataset(
                config,
                folder,
                paths.config.seed,
                resources=paths.config.resources,
                progress=progress,
                verbose=verbose,
            ).dataset_hash
            continue
        respond = partial(open_responder, journal=journal_beside(paths.folder, name))
        with progress.parts(f"generate {name}") as count:
            manifest = build_dataset(config, folder, paths.config.seed, count, respond)
        hashes[name] = manifest.dataset_hash
    return hashes


def _describe(paths: RunPaths, hashes: dict[str, str]) -> None:
    """Write run_manifest.json; a run that goes on keeps its identity.

    A model from scratch is made by the first worker, so it is described once that has been.
    """
    model = paths.config.model
    base, earlier = None, read_manifest(paths.folder)
    if isinstance(model, HfModelConfig) and Path(model.path).is_dir():
        base = hash_checkpoint(Path(model.path))
        if earlier and earlier.base_checkpoint and earlier.base_checkpoint.sha256 != base.sha256:
            raise DamageError(
                f"model.path {model.path} is not the model that this run began with: restore its "
                "files, or start over with --fresh"
            )
    elif is_finished(paths.folder, BASE):
        made = hash_checkpoint(paths.folder / "checkpoints" / BASE)
        base = made.model_copy(update={"path": f"checkpoints/{BASE}"})
    manifest = build_manifest(
        paths.config,
        datasets=hashes,
        base_checkpoint=base,
        earlier=earlier,
    )
    write_manifest(paths.folder, manifest)


def _open_tracker(paths: RunPaths, hashes: dict[str, str], progress: Progress) -> Tracker:
    with progress.waiting("MLflow to open"):
        tracker = open_tracker(paths.config, paths.folder, warn=progress.note)
    tracker.log_tags({f"dataset_hash.{name}": digest for name, digest in hashes.items()})
    tracker.log_datasets(list(_dataset_uses(paths, hashes)))
    return tracker


def _dataset_uses(paths: RunPaths, hashes: dict[str, str]) -> Iterator[DatasetUse]:
    """The splits that stages train on, and those that stages and the evaluation measure by."""
    config = paths.config
    reads: list[tuple[str, str, Literal["train", "eval"]]] = []
    for stage in config.stages:
        reads.append((stage.dataset, stage.split, "train"))
        if stage.eval_steps:
            reads.append((stage.dataset, stage.eval_split, "eval"))
    reads += [(config.evaluation.dataset, split, "eval") for split in config.evaluation.splits]
    for dataset, split, context in dict.fromkeys(reads):
        folder = paths.dataset(dataset).resolve()
        yield DatasetUse(f"{dataset}/{split}", hashes[dataset], folder, context)


def _train(paths: RunPaths, tracker: Tracker, verbose: bool, progress: Progress) -> None:
    resources, seed = paths.config.resources, paths.config.seed
    with (
        ray_session(resources, verbose=verbose, progress=progress),
        TrainingWatch(paths.folder, progress, tracker) as watch,
    ):
        launch_training(
            paths.course(), paths.folder, seed, resources, verbose=verbose, watch=watch.look
        )
