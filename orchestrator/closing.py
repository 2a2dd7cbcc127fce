"""The end of a run: result, evidence, report, table, and where to look next."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.finished_run import write_derived
from orchestrator.report import PAGE_NAME, chart_files
from orchestrator.table import print_table
from orchestrator.tracking import Tracker

ARTIFACTS = (
    "run_manifest.json",
    "config.yaml",
    "result.json",
    "metrics.json",
    "delta_report.md",
    "delta_report.html",
)

LONGEST_PROMPT = 120
"""Characters of a prompt that is shown to be copied."""


def close_run(folder: Path, usage: Mapping[str, float], tracker: Tracker) -> dict[str, Any]:
    """Write everything that is made from a trained run's files; return its result."""
    result = write_derived(folder, usage)
    tracker.log_results(flat_rates(result))
    for name in ARTIFACTS:
        tracker.log_artifact(folder / name)
    for manifest in sorted(folder.glob("datasets/*/manifest.json")):
        tracker.log_artifact(manifest)
    for name, svg in chart_files(folder).items():
        tracker.log_text(svg, name)
    tracker.finish("FINISHED")
    return result


def flat_rates(result: Mapping[str, Any]) -> dict[str, float]:
    """Return {checkpoint/measure: rate} of the table, and those of each task of several."""
    blocks = {"": result} | {f"{t}/": block for t, block in (result.get("tasks") or {}).items()}
    return {
        f"{checkpoint}/{task}{measure.replace('@', '_at_')}": estimate["rate"]
        for task, block in blocks.items()
        for checkpoint, measures in block["checkpoints"].items()
        for measure, estimate in measures.items()
    }


def print_ending(folder: Path, result: Mapping[str, Any], last: str, ui_line: str | None) -> None:
    """Print the table, where the report is, and the commands that follow."""
    print_table(result)
    shown = _short(folder)
    lines = [
        f"report    {shown}/{PAGE_NAME}",
        f"try it    clutch generate {shlex.quote(f'{shown}/checkpoints/{last}')} "
        f"--prompt {shlex.quote(_short_prompt(folder))}",
    ]
    if ui_line:
        lines.append(f"metrics   {ui_line}")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _short_prompt(folder: Path) -> str:
    """A prompt to try: the first of those evaluated that fits on a line."""
    with (folder / "eval_after.jsonl").open(encoding="utf-8") as file:
        prompts = (str(json.loads(line)["prompt"]) for line in file)
        fitting = (p for p in prompts if len(p) <= LONGEST_PROMPT and "\n" not in p)
        return next(fitting, "…")


def _short(path: Path) -> str:
    """The path from here, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
