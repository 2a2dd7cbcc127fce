"""`clutch evaluate CHECKPOINT --data DATASET`: how much of a dataset a checkpoint solves."""

import json as json_module
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from cyclopts.types import NonNegativeInt

from orchestrator.commands.arguments import config_from
from orchestrator.progress import Progress
from orchestrator.quiet import prepare_environment
from orchestrator.result import evaluation_result
from orchestrator.run_files import read_json, write_text
from orchestrator.table import print_splits
from reward_fns.registry import choose_rewards
from trainers.config import EvaluationConfig, resolve_checkpoint
from trainers.journal import chain_rows

FLAGS = {"dataset": "data", "splits": "split", "reward_funcs": "reward"}
"""Options that are not called as the config's fields."""


def evaluate(
    checkpoint: Path,
    /,
    *,
    data: Path,
    split: tuple[str, ...] = ("test",),
    reward: tuple[str, ...] = (),
    num_samples: int = 8,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_completion_length: int | None = None,
    batch_size: int = 128,
    limit: int | None = None,
    seed: NonNegativeInt = 0,
    no_chat_template: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure a checkpoint on a dataset: greedy, pass@1 and pass@k.

    Parameters
    ----------
    checkpoint
        A model folder that from_pretrained can load.
    data
        A dataset's folder.
    split
        Split to measure; may be given several times.
    reward
        Name in the reward registry; may be given several times. A completion is solved if the first
        one for its task gives it 1. Each task's own by default.
    num_samples
        Sampled completions for each problem, beside the greedy one.
    temperature
        Temperature of the samples.
    top_p
        Nucleus of the samples.
    max_completion_length
        Tokens after which a completion is cut; 256, or what the model's context leaves, by default.
    batch_size
        Problems decoded at once.
    limit
        Measure only the first so many problems of each split.
    seed
        Key of the sampling noise: the same seed gives the same answers.
    no_chat_template
        Give prompts to the model as they are, though its tokenizer has a chat template.
    out
        Write one JSON line for each problem to this file.
    json
        Print one JSON object instead of a table.
    """
    config = _config(
        {
            "dataset": str(data),
            "splits": list(split),
            "reward_funcs": list(reward) or None,
            "num_samples": num_samples,
            "temperature": temperature,
            "top_p": top_p,
            "max_completion_length": max_completion_length,
            "batch_size": batch_size,
            "limit": limit,
        }
    )
    _check(reward, checkpoint, data)
    prepare_environment()
    name = checkpoint.resolve().name
    with Progress() as progress, progress.parts(f"evaluate {name}") as count:
        # Loaded by name only now, because torch takes seconds and a wrong argument none.
        rows = resolve_name("trainers.evaluate:evaluate_checkpoint")(
            checkpoint, data, config, seed=seed, chat_template=not no_chat_template,
            fit=max_completion_length is None, progress=partial(count, data.name),
        )  # fmt: skip
    if out is not None:
        _write_rows(out, rows)
    result = evaluation_result(name, rows, read_json(data / "manifest.json"))
    show = _print_json if json else print_splits
    show(result)


def _config(given: dict[str, Any]) -> EvaluationConfig:
    """Check the options as a config is checked; those left out take its defaults."""
    chosen = {key: value for key, value in given.items() if value is not None}
    return config_from(EvaluationConfig, chosen, flags=FLAGS)


def _check(rewards: tuple[str, ...], checkpoint: Path, data: Path) -> None:
    """Refuse what is not there before anything heavy is loaded."""
    choose_rewards(rewards)
    resolve_checkpoint(checkpoint)
    if not (data / "manifest.json").is_file():
        raise ValueError(f"no dataset at {data}: a dataset's folder holds manifest.json")


def _write_rows(out: Path, rows: list[dict[str, Any]]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, b"".join(chain_rows(rows)).decode())


def _print_json(result: dict[str, Any]) -> None:
    print(json_module.dumps(result))
