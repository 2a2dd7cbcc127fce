"""`clutch evaluate CHECKPOINT --data DATASET`: how much of a dataset a checkpoint solves."""

import json as json_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.commands.arguments import config_from
from orchestrator.progress import Progress
from orchestrator.quiet import prepare_environment
from trainers.config import EvaluationConfig, resolve_checkpoint


def evaluate(
    checkpoint: Path,
    /,
    *,
    data: Path,
    split: tuple[str, ...] = ("test",),
    reward: str = "sat",
    num_samples: int = 8,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_completion_length: int = 256,
    batch_size: int = 128,
    limit: int | None = None,
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
        Name in the reward registry; a completion is solved if it scores 1.
    num_samples
        Sampled completions for each problem, beside the greedy one.
    temperature
        Temperature of the samples.
    top_p
        Nucleus of the samples.
    max_completion_length
        Tokens after which a completion is cut.
    batch_size
        Problems decoded at once.
    limit
        Measure only the first so many problems of each split.
    out
        Write one JSON line for each problem to this file.
    json
        Print one JSON object instead of a table.
    """
    config = config_from(
        EvaluationConfig,
        {
            "dataset": str(data),
            "splits": list(split),
            "reward": reward,
            "num_samples": num_samples,
            "temperature": temperature,
            "top_p": top_p,
            "max_completion_length": max_completion_length,
            "batch_size": batch_size,
            "limit": limit,
        },
        flags={"dataset": "data", "splits": "split"},
    )
    resolve_checkpoint(checkpoint)
    if not (data / "manifest.json").is_file():
        raise ValueError(f"no dataset at {data}: a dataset's folder holds manifest.json")
    prepare_environment()
    # Loaded by name only now, because torch takes seconds and a wrong argument none.
    evaluate_checkpoint = resolve_name("trainers.evaluate:evaluate_checkpoint")
    with Progress() as progress, progress.parts("evaluate") as count:
        result = evaluate_checkpoint(checkpoint, data, config.splits, config, out, count)
    if json:
        print(json_module.dumps(result))
    else:
        print_result(result)


def print_result(result: dict[str, Any]) -> None:
    """Print the rates of {split: {measure: {rate, low, high, n}}} as a table."""
    table = Table("split", "measure", "solved", "95 % interval", "problems", box=None)
    for split, measures in result.items():
        for measure, cell in measures.items():
            if not isinstance(cell, dict) or "rate" not in cell:
                continue
            interval = f"{cell['low']:.3f} to {cell['high']:.3f}" if "low" in cell else ""
            table.add_row(split, measure, f"{cell['rate']:.3f}", interval, str(cell.get("n", "")))
    Console().print(table)
