"""The table at the end of a run: solve rates with intervals, and what guessing would score."""

import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import IO, Any

from rich.box import MARKDOWN, SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.comparison import measures

PLAIN_WIDTH = 200
"""Columns where the output is a file or a pipe."""
CHANCE_WORDS = {"all_true": "all True", "always_unsat": "UNSAT"}
"""Names of guessing strategies in tables, where they differ from the manifest's."""


def print_table(result: Mapping[str, Any], file: IO[str] | None = None) -> None:
    """Print the table of a result (as in result.json) to `file` (standard output by default).

    It fits 80 columns. Off a terminal it has no colour and is Markdown in ASCII, so that a log of
    the run can be pasted as it is.
    """
    _print_blocks(_blocks(result), gain_line(result), file)


def print_splits(splits: Mapping[str, Any], file: IO[str] | None = None) -> None:
    """Print the tables of {split: {checkpoints, chance}}, as print_table does."""
    blocks = []
    for split, block in splits.items():
        blocks.append((split, block))
        blocks += ((f"{split}, task {t}", own) for t, own in (block.get("tasks") or {}).items())
    _print_blocks(blocks, None, file)


def result_table(block: Mapping[str, Any], box: Box = SIMPLE_HEAD) -> Table:
    """Return the rich table of one split's (or task's) rates; rates are in per cent."""
    checkpoints: Mapping[str, Any] = block["checkpoints"]
    metrics = list(dict.fromkeys(m for measured in checkpoints.values() for m in measured))
    table = Table(box=box, pad_edge=box is MARKDOWN)
    table.add_column("checkpoint", no_wrap=True)
    for metric in metrics:
        table.add_column(metric, justify="right", no_wrap=True)
    for name, measured in checkpoints.items():
        cells = [rate_cell(measured.get(metric)) for metric in metrics]
        style = "bold" if name == list(checkpoints)[-1] else None
        table.add_row(Text(name), *cells, style=style)
    if not checkpoints:
        table.add_row("not evaluated")
    if box is not MARKDOWN:
        table.add_section()
    for key, rate in block["chance"].items():
        cells = [chance_cell(key, rate, metric) for metric in metrics]
        table.add_row(Text(guess(key)), *cells, style="dim")
    return table


def guess(key: str) -> str:
    """Return what a table calls a guessing strategy of the dataset's manifest."""
    return f"guess: {CHANCE_WORDS.get(key, key.replace('_', ' '))}"


def rate_cell(estimate: Mapping[str, Any] | None) -> str:
    """Return "84.1 (81.7-86.2)", in per cent, or "-" where it was not measured."""
    if not estimate:
        return "-"
    return "{:.1f} ({:.1f}-{:.1f})".format(
        *(100 * estimate[key] for key in ("rate", "low", "high"))
    )


def chance_rate(key: str, rate: float | None, metric: str) -> float | None:
    """Return what a guessing strategy scores under `metric`; None where that is not known.

    The fixed strategies give the same answer in every sample; a random one has more luck with more
    samples, which the dataset's manifest does not state.
    """
    return None if key == "random" and metric not in ("greedy", "pass@1") else rate


def chance_cell(key: str, rate: float | None, metric: str) -> str:
    """Return what a guessing strategy scores under `metric`, in per cent."""
    known = chance_rate(key, rate, metric)
    if known is None:
        return "unknown" if rate is None else "-"
    return f"{100 * known:.1f}"


def gain_line(result: Mapping[str, Any]) -> str:
    """Return one sentence on the run's gain: the verdict, in points, with intervals.

    Other splits and tasks are named where they went another way.
    """
    gain = result.get("gain")
    if not gain:
        return "No gain to tell: fewer than two checkpoints were evaluated."
    parts = [
        f"{m.name} {_points(m.difference)}" + (f" ({m.verdict})" if m.part else "")
        for m in measures(result)
        if not m.part or m.verdict not in ("tied", gain["verdict"])
    ]
    verdict = result.get("verdict") or gain["verdict"]
    return f"{gain['after']} against {gain['before']}: {verdict}; " + ", ".join(parts)


def _points(difference: Mapping[str, Any]) -> str:
    mean, low, high = (100 * difference[key] for key in ("difference", "low", "high"))
    return f"{mean:+.1f} points ({low:+.1f} to {high:+.1f})"


def _blocks(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what stands in tables of their own, each with its title."""
    blocks: list[tuple[str, Mapping[str, Any]]] = []
    blocks.append((str(result.get("split") or "held-out"), result))
    for split, block in (result.get("unseen") or {}).items():
        blocks.append((f"{split}: sizes held out of training", block))
    blocks += (result.get("other_splits") or {}).items()
    blocks += ((f"task {task}", block) for task, block in (result.get("tasks") or {}).items())
    return blocks


def _print_blocks(
    blocks: Sequence[tuple[str, Mapping[str, Any]]], last: str | None, file: IO[str] | None
) -> None:
    out = file if file is not None else sys.stdout
    buffer = StringIO()
    terminal = out.isatty()
    console = (
        Console(file=out, highlight=False)
        if terminal
        else Console(file=buffer, width=PLAIN_WIDTH, highlight=False)
    )
    for title, block in blocks:
        console.print(Text(_heading(block, title)))
        console.print(result_table(block, SIMPLE_HEAD if terminal else MARKDOWN))
    if last is not None:
        console.print(Text(last))
    out.write("".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines()))


def _heading(block: Mapping[str, Any], title: str) -> str:
    measured = block["checkpoints"].values()
    counts = sorted({estimate["n"] for rates in measured for estimate in rates.values()})
    problems = " or ".join(f"{count:,}" for count in counts) or "no"
    return f"Solved, % of {problems} problems, 95 % intervals ({title})"
