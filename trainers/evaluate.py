"""Measure a policy: each problem answered once greedily and several times by sampling.

Noise is keyed by (seed, split, problem, sample), the same for every checkpoint of a run: base, SFT
and GRPO answer the same questions with the same dice.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from reward_fns.records import Problem, Score
from reward_fns.registry import Reward, choose_rewards, score_rows
from trainers.config import EvaluationConfig
from trainers.data import decode_completions, load_split, prompts_for
from trainers.engine.rollout import Completion, Sampling
from trainers.engine.sampling import number_samples, uniforms
from trainers.engine.select import Engine, make_engine
from trainers.folders import write_text
from trainers.journal import chain_rows
from trainers.models.load import Policy, load_folder
from trainers.run import Run, StopRequested
from trainers.runtime import any_device, prepare_torch

Progress = Callable[[int, int], None]
EVALUATION_STEP = -1
"""Stands for the step in the key of the noise: no training step has this number."""


def answer_problems(
    policy: Policy, engine: Engine, problems: Sequence[Problem], prompts: Sequence[list[int]],
    config: EvaluationConfig, seed: int, progress: Progress | None = None,
    first_samples: Sequence[int] | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row for each problem: its greedy answer and its samples, scored with reasons.

    `first_samples` numbers the first answer of each, where `problems` are a share of more: problems
    with equal ids count on. Raises StopRequested between two batches where that is asked for.
    """
    first_samples = first_samples or _first_samples(problems, config)
    sampling = Sampling(
        config.max_completion_length, policy.eos_token_ids, config.temperature, config.top_p
    )
    rewards, rows = choose_rewards(config.reward_funcs), []
    if progress:
        progress(0, len(problems))
    for start in range(0, len(problems), config.batch_size):
        batch = problems[start : start + config.batch_size]
        noise = uniforms(
            seed, EVALUATION_STEP, [p.id for p in batch], config.num_samples + 1,
            config.max_completion_length, first_samples[start : start + len(batch)],
        )  # fmt: skip
        groups = engine.generate(prompts[start : start + len(batch)], noise, sampling, greedy=[0])
        rows += _rows(policy, rewards, batch, groups)
        if progress:
            progress(len(rows), len(problems))
        if stop_requested():
            raise StopRequested
    return rows


def encode_for_evaluation(
    policy: Policy, problems: Sequence[Problem], config: EvaluationConfig
) -> list[list[int]]:
    """Return the prompts as tokens; ValueError names one that does not fit the context."""
    limit = policy.max_length - config.max_completion_length
    return prompts_for(policy, problems, limit).prompt_ids


def evaluate_policy(
    policy: Policy, engine: Engine, problems: Sequence[Problem], config: EvaluationConfig,
    run: Run, name: str,
) -> None:  # fmt: skip
    """Answer `problems` on all workers and write the rows of checkpoint `name`, in order, at once.

    Raises ValueError where a prompt does not fit the model's context, or no reward its task, and
    StopRequested.
    """
    choose_rewards(config.reward_funcs, {problem.task for problem in problems})
    workers, out = run.workers, run.evaluation(name)
    # Every worker encodes every prompt, so that all of them meet a bad one.
    prompts = encode_for_evaluation(policy, problems, config)

    def progress(done: int, _: int) -> None:  # this worker's share as a share of all
        done = min(len(problems), done * workers.world_size)
        run.progress(f"evaluate {name}", done, len(problems))

    mine: list[dict[str, Any]] | None = None
    with suppress(StopRequested):  # all workers come to `gather`, so that none waits there
        mine = answer_problems(
            policy, engine, workers.share(problems), workers.share(prompts), config, run.seed,
            progress, workers.share(_first_samples(problems, config)), run.stop_requested,
        )  # fmt: skip
    shares = [share for share in workers.gather(mine) if share is not None]
    if len(shares) < workers.world_size:
        raise StopRequested
    if workers.is_first:
        out.parent.mkdir(parents=True, exist_ok=True)
        rows = (
            shares[i % workers.world_size][i // workers.world_size] for i in range(len(problems))
        )
        write_text(out, b"".join(chain_rows(rows)).decode())
    workers.barrier()


def evaluate_checkpoint(
    checkpoint: Path, data: Path, config: EvaluationConfig, *, seed: int, chat_template: bool,
    fit: bool = False, progress: Progress | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the rows of a checkpoint's answers to the splits of a dataset, in this process.

    With `fit`, completions may be as long as the longest prompt leaves of the model's context, if
    that is less than the config says. Takes a GPU where there is one. Raises ValueError where the
    folders hold no model or dataset, the dataset's bytes do not match its manifest, or a prompt
    does not fit.
    """
    problems = [
        problem for split in config.splits for problem in load_split(data, split)[: config.limit]
    ]
    choose_rewards(config.reward_funcs, {problem.task for problem in problems})
    device = any_device()
    prepare_torch(torch.get_num_threads())
    policy = load_folder(checkpoint, device, chat_template)
    if fit:
        prompts = encode_for_evaluation(policy, problems, _length(config, 1))
        config = _length(config, min(config.max_completion_length, room_left(policy, prompts)))
    else:
        prompts = encode_for_evaluation(policy, problems, config)
    engine = make_engine(policy.model)
    return answer_problems(policy, engine, problems, prompts, config, seed, progress)


def room_left(policy: Policy, prompts: Sequence[list[int]]) -> int:
    """Return how many tokens the longest prompt leaves of the model's context."""
    return policy.max_length - max(map(len, prompts), default=0)


def _first_samples(problems: Sequence[Problem], config: EvaluationConfig) -> list[int]:
    return number_samples([problem.id for problem in problems], config.num_samples + 1)


def _length(config: EvaluationConfig, max_completion_length: int) -> EvaluationConfig:
    return config.model_copy(update={"max_completion_length": max_completion_length})


def _rows(
    policy: Policy, rewards: Sequence[Reward], problems: Sequence[Problem],
    groups: Sequence[Sequence[Completion]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Judge a batch of answers at once and write down one row for each problem."""
    flat = [completion.token_ids for group in groups for completion in group]
    texts = decode_completions(policy, flat)
    owners = [p for p, group in zip(problems, groups, strict=True) for _ in group]
    scores = score_rows(rewards, owners, texts)
    answers = iter(map(_answer, texts, scores, flat))
    return [
        _row(problem, [next(answers) for _ in group])
        for problem, group in zip(problems, groups, strict=True)
    ]


def _row(problem: Problem, answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": problem.id,
        "task": problem.task,
        "split": problem.split,
        "label": json.loads(problem.difficulty).get("label", problem.task),
        "prompt": problem.prompt,
        "answer": problem.answer,
        "env": problem.env,
        "greedy": answers[0],
        "samples": answers[1:],
    }


def _answer(text: str, judged: Score, token_ids: list[int]) -> dict[str, Any]:
    return {
        "text": text,
        "score": judged.value,
        "reason": judged.reason,
        "num_tokens": len(token_ids),
    }
