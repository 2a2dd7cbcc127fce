"""Which figures a report shows: rates by checkpoint, rates by size, and curves by metric."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from orchestrator.curves import Curve
from orchestrator.figures import NUM_STYLES, line_chart, rate_bar, rate_dots, tick_text
from orchestrator.statistics import Estimate
from orchestrator.table import chance_rate, guess, rate_cell

LEARNING = {
    "loss/train": ("Training loss", "nats a token"),
    "reward/mean": ("Mean reward", "of the sampled completions"),
}
VALIDATION = {
    "validation/solved": ("Solved in validation", "greedy, while training"),
}
"""Curves that a run has only if it asks for them."""
HEALTH = {
    "policy/entropy": ("Entropy", "nats a token; near 0 nothing is explored"),
    "groups/zero_variance": ("Groups without variance", "share that teaches nothing"),
    "policy/clip_fraction": ("Clipped tokens", "share"),
    "sampler/mismatch": ("Sampler against trainer", "difference of log-probability"),
    "reward/malformed": ("Unreadable answers", "share of the completions"),
    "completions/truncated": ("Truncated completions", "share cut for length"),
}
"""Curves that are always asked for: (title, what is measured). One that is missing is named."""
NO_TASKS = frozenset({"mean", "std", "malformed", "unscored", "solved"})
"""What stands after `reward/` and `validation/` beside the names of tasks."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its title, what it measures, and how it went in words."""

    metric: str
    title: str
    unit: str
    ends: tuple[tuple[str, str], ...]
    """(stage, "0.20 → 0.81") of each curve."""
    styles: tuple[str, ...]
    chart: Markup


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of bars or dots: its label, the drawing, and the figure beside it."""

    label: str
    drawing: Markup
    value: str
    note: str = ""
    quiet: bool = False


def panels(found: list[Curve]) -> dict[str, Any]:
    """Return the charts in three groups, and the titles of those that were not recorded."""
    stages = list(dict.fromkeys(curve.stage for curve in found))
    named = LEARNING | HEALTH
    of_tasks = {c.metric: words for c in found if (words := _task_words(c.metric))}
    runs = {c.metric: words for c in found if (words := _run_words(c.metric))}
    known = named | VALIDATION | of_tasks | runs
    rest = {c.metric: (c.metric, "") for c in found if c.metric not in known}
    groups = {
        name: [
            panel for key, words in wanted.items() if (panel := _panel(found, stages, key, words))
        ]
        for name, wanted in (
            ("learning", LEARNING | VALIDATION | of_tasks),
            ("health", HEALTH | runs),
            ("other", rest),
        )
    }
    missing = [
        title
        for metric, (title, _) in named.items()
        if all(curve.metric != metric for curve in found)
    ]
    return {**groups, "missing": missing}


def _task_words(metric: str) -> tuple[str, str] | None:
    """The title and unit of one task's share of a metric; None for another metric."""
    area, _, task = metric.partition("/")
    whole = {"reward": "reward/mean", "validation": "validation/solved"}.get(area, "")
    if not whole or metric in LEARNING | VALIDATION | HEALTH or task in NO_TASKS:
        return None
    title, unit = (LEARNING | VALIDATION)[whole]
    return f"{title}: {task}", unit


def _run_words(metric: str) -> tuple[str, str] | None:
    """The title and unit of how programs ended in the sandbox; None for another metric."""
    area, _, end = metric.partition("/")
    return (f"Programs: {end}", "share of those that were run") if area == "sandbox" else None


def rate_panels(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the bars of each metric: the checkpoints, then what guessing scores."""
    checkpoints = result["checkpoints"]
    metrics = list(dict.fromkeys(m for measured in checkpoints.values() for m in measured))
    return [
        {"metric": metric, "bars": [*_rates(checkpoints, metric), *_chance(result, metric)]}
        for metric in metrics
    ]


def size_panel(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row of greedy dots a size, those that training had seen first."""
    seen: list[Bar] = []
    held_out: list[Bar] = []
    for split, block in _blocks(result):
        unseen = set(block.get("held_out_sizes") or ())
        for label in next(iter(block["sizes"].values()), {}):
            row = _size_row(block["sizes"], label, split)
            if row:
                (held_out if label in unseen else seen).append(row)
    return {
        "seen": seen,
        "held_out": held_out,
        "known": result.get("held_out_sizes") is not None,
        "legend": [(name, f"s{i % NUM_STYLES}") for i, name in enumerate(result["checkpoints"])],
    }


def size_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one line a size for a table: its label, greedy of each checkpoint, and if trained."""
    rows = []
    for _, block in _blocks(result):
        held_out = block.get("held_out_sizes")
        for label in next(iter(block["sizes"].values()), {}):
            cells = [rate_cell(of.get(label, {}).get("greedy")) for of in block["sizes"].values()]
            trained = "unknown" if held_out is None else "no" if label in held_out else "yes"
            rows.append({"label": label, "cells": cells, "trained": trained})
    return rows


def _panel(
    found: list[Curve], stages: list[str], metric: str, words: tuple[str, str]
) -> Panel | None:
    chosen = [curve for curve in found if curve.metric == metric]
    if not chosen:
        return None
    styles = tuple(f"s{(stages.index(curve.stage) + 1) % NUM_STYLES}" for curve in chosen)
    ends = tuple(
        (curve.stage, f"{tick_text(curve.values[0])} → {tick_text(curve.values[-1])}")
        for curve in chosen
    )
    told = "; ".join(f"{stage}: from {went.replace('→', 'to')}" for stage, went in ends)
    chart = line_chart(list(zip(chosen, styles, strict=True)), f"{words[0]} over steps. {told}.")
    return Panel(metric, *words, ends, styles, chart)


def _rates(checkpoints: Mapping[str, Any], metric: str) -> Iterable[Bar]:
    for i, (name, measured) in enumerate(checkpoints.items()):
        if metric in measured:
            estimate = _estimate(measured[metric])
            words = f"{name}, {metric}: {_range(estimate)}"
            yield Bar(
                name,
                rate_bar(estimate, f"s{i % NUM_STYLES}", words),
                f"{100 * estimate.rate:.1f}",
            )


def _chance(result: Mapping[str, Any], metric: str) -> Iterable[Bar]:
    for key, known in result["chance"].items():
        rate = chance_rate(key, known, metric)
        if rate is not None:
            bar = rate_bar(rate, "chance", f"{guess(key)}: {100 * rate:.1f} %")
            yield Bar(guess(key), bar, f"{100 * rate:.1f}", quiet=True)


def _size_row(sizes: Mapping[str, Any], label: str, split: str) -> Bar | None:
    rates = [
        (name, _estimate(of[label]["greedy"]), f"s{i % NUM_STYLES}")
        for i, (name, of) in enumerate(sizes.items())
        if "greedy" in of.get(label, {})
    ]
    if not rates:
        return None
    told = "; ".join(f"{name} {_range(rate)}" for name, rate, _ in rates)
    dots = rate_dots([(rate, style) for _, rate, style in rates], f"{label} ({split}): {told}")
    last = rates[-1][1]
    return Bar(label, dots, f"{100 * last.rate:.1f}", f"({last.n:,})")


def _blocks(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (str(result.get("split")), result),
        *(result.get("unseen") or {}).items(),
        *(result.get("other_splits") or {}).items(),
    ]


def _estimate(measured: Mapping[str, Any]) -> Estimate:
    return Estimate(measured["rate"], measured["low"], measured["high"], int(measured["n"]))


def _range(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.rate:.1f} % (95 % interval {low:.1f} to {high:.1f})"
