"""All stages of a run on one worker, in order: base, then each stage, each followed by its answers.

A finished stage leaves a verified checkpoint and an evaluation; what is there is not made again.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from reward_fns.records import Problem
from trainers.card import model_card
from trainers.checkpoint import export_model
from trainers.config import (
    GrpoConfig,
    HfModelConfig,
    SftConfig,
    StageConfig,
    TinyModelConfig,
    stage_name,
)
from trainers.course import BASE, Course, is_evaluated, is_finished
from trainers.data import load_split
from trainers.engine.select import Engine, make_engine
from trainers.evaluate import evaluate_policy
from trainers.folders import remove_folder
from trainers.grpo import Grpo
from trainers.loop import StageLoop
from trainers.models.load import Policy, load_checkpoint, load_policy
from trainers.models.sources import hub_retries
from trainers.records import StageRecords
from trainers.run import Run
from trainers.runtime import release_memory
from trainers.sft import Sft
from trainers.validation import Validation


def run_course(course: Course, run: Run) -> None:
    """Make every checkpoint and evaluation that is not there yet."""
    _make_base(course, run)
    _evaluate(course, run, BASE)
    before = BASE
    for stage in course.stages:
        name = stage_name(stage)
        if not run.workers.first(is_finished(run.folder, name)):
            _train(course, stage, run, before)
        _evaluate(course, run, name)
        before = name


def _make_base(course: Course, run: Run) -> None:
    """Write the untrained model of a run from scratch; a loaded model stays where it is."""
    if isinstance(course.model, HfModelConfig) or run.workers.first(is_finished(run.folder, BASE)):
        return
    if run.workers.is_first:
        policy = load_policy(course.model, run.seed, "cpu")
        _export(policy, run, BASE, before=None, datasets={})
    run.workers.barrier()


def _load(course: Course, run: Run, name: str) -> Policy:
    if name == BASE and isinstance(course.model, HfModelConfig):
        with hub_retries(run.progress):
            return load_policy(course.model, run.seed, run.workers.device, course.today)
    return load_checkpoint(course.model, run.checkpoint(name), run.workers.device, course.today)


def _engine(course: Course, policy: Policy, bf16: bool) -> Engine:
    model = course.model
    recompute = not isinstance(model, TinyModelConfig) and model.gradient_checkpointing
    return make_engine(policy.model, bf16, recompute)


def _train(course: Course, stage: StageConfig, run: Run, before: str) -> None:
    name = stage_name(stage)
    run.progress(f"{name}: model and data to load", 0, 0)
    policy = _load(course, run, before)
    with closing(StageRecords(run, name, with_rollouts=isinstance(stage, GrpoConfig))) as records:
        algorithm = _algorithm(course, stage, policy, run, records, before)
        release_memory()
        StageLoop(stage, policy, algorithm, run, records).train()
    if run.workers.is_first:
        _export(policy, run, name, before, {stage.dataset: course.datasets[stage.dataset]})
        remove_folder(run.state_root(name))
    run.workers.barrier()


def _algorithm(
    course: Course, stage: StageConfig, policy: Policy, run: Run, records: StageRecords, before: str
) -> Sft | Grpo:
    """Set a stage up with its data; what it does not need of them is freed on return."""
    engine, name = _engine(course, policy, stage.bf16), stage_name(stage)
    problems = load_split(course.datasets[stage.dataset], stage.split)
    validation = _validation(course, stage, policy, engine, run)
    if isinstance(stage, SftConfig):
        return Sft(stage, policy, engine, problems, run, name, validation)
    reference = _reference(course, stage, run, before)
    before_it = course.stages[: [stage_name(s) for s in course.stages].index(name)]
    first_step = sum(s.max_steps for s in before_it if isinstance(s, GrpoConfig))
    return Grpo(
        stage, policy, engine, reference, problems, run, name, records, validation, first_step
    )


def _reference(course: Course, stage: GrpoConfig, run: Run, before: str) -> Engine | None:
    """The model that the stage starts from, frozen, where a KL penalty asks for it."""
    if stage.beta == 0:
        return None
    policy = _load(course, run, before)
    policy.model.requires_grad_(False)
    return make_engine(policy.model, stage.bf16)


def _validation(
    course: Course, stage: StageConfig, policy: Policy, engine: Engine, run: Run
) -> Validation | None:
    if stage.eval_steps is None:
        return None
    problems = load_split(course.datasets[stage.dataset], stage.eval_split)
    return Validation(policy, engine, problems, course.evaluation, run.workers)


def _evaluate(course: Course, run: Run, name: str) -> None:
    if run.workers.first(is_evaluated(run.folder, name)):
        return
    run.progress(f"{name}: model to load for evaluation", 0, 0)
    release_memory()
    policy = _load(course, run, name)
    engine, problems = _engine(course, policy, False), evaluation_problems(course)
    evaluate_policy(policy, engine, problems, course.evaluation, run, name)


def evaluation_problems(course: Course) -> list[Problem]:
    """The problems that every checkpoint answers, split after split."""
    config = course.evaluation
    folder = course.datasets[config.dataset]
    return [p for split in config.splits for p in load_split(folder, split)[: config.limit]]


def _export(
    policy: Policy, run: Run, name: str, before: str | None, datasets: Mapping[str, Path]
) -> None:
    meta = {
        "checkpoint": name,
        "from_checkpoint": before,
        "seed": run.seed,
        "run": run.folder.name,
        "dataset_hashes": {
            key: json.loads((folder / "manifest.json").read_bytes())["dataset_hash"]
            for key, folder in datasets.items()
        },
    }
    if policy.today is not None:
        meta["today"] = policy.today.isoformat()
    export_model(policy.model, policy.tokenizer, run.checkpoint(name), model_card(meta), meta)
