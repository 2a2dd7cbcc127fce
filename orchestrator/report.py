"""delta_report.md and delta_report.html: what a run changed, for a reader who was not there.

Both are made from the run's folder alone (`clutch report RUN` makes them again). The page is one
file without scripts or addresses: completions are text from a model, so they are escaped, and a
content policy in the page forbids anything to load or run. What was not recorded is said to be.
"""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.claims import headline, is_separate, percent, points, shows, shows_not
from orchestrator.comparison import Comparison, compare, drawn, headline_pair
from orchestrator.curves import curves, of_stage
from orchestrator.evaluations import Evaluation, read_evaluations, splits_of
from orchestrator.figures import NUM_STYLES, rate_axis, standalone
from orchestrator.health import grpo_health, unrecorded
from orchestrator.panels import panels, rate_panels, size_panel, size_rows
from orchestrator.provenance import flat_config, in_short, provenance, stage_times
from orchestrator.result import result_of
from orchestrator.run_files import RunFiles, read_run, write_text
from orchestrator.shown_text import (
    duration,
    fence,
    number,
    p_value,
    shortened,
    size,
    table_cell,
    visible,
)
from orchestrator.table import chance_cell, gain_line, guess, rate_cell

TEMPLATES = Path(__file__).parent / "templates"
PAGE_NAME = "delta_report.html"
NUM_EXAMPLES = {"gained": 3, "lost": 3, "kept_unsolved": 2, "kept_solved": 1}
MOVES = {
    "gained": "wrong before, right after",
    "lost": "right before, wrong after",
    "kept_unsolved": "wrong both times",
    "kept_solved": "right both times",
}
NUM_LISTED = 50
"""Most problems listed by id in each direction; the evaluations hold all of them."""


def write_report(folder: Path) -> Path:
    """Write delta_report.md and delta_report.html into the run's folder; return the page's path."""
    context = report_context(folder)
    markdown, page = folder / "delta_report.md", folder / PAGE_NAME
    write_text(markdown, render("delta_report.md.j2", context))
    write_text(page, render("delta_report.html.j2", context))
    return page


def chart_files(folder: Path) -> dict[str, str]:
    """Return the charts of a run's metrics as SVG files: {"figures/reward-mean.svg": text}."""
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    drawn_panels = panels(curves(read_run(folder).metrics))
    return {
        f"figures/{panel.metric.replace('/', '-')}.svg": standalone(panel.chart, css)
        for group in ("learning", "health", "other")
        for panel in drawn_panels[group]
    }


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return a template of templates/ filled in; HTML templates escape what is put in."""
    return _environment().get_template(template).render(context)


def report_context(folder: Path) -> dict[str, Any]:
    """Return everything that the templates show, read from the run's folder."""
    run = read_run(folder)
    evaluations = read_evaluations(run)
    result = result_of(run, evaluations)
    first = _first_split(evaluations)
    comparison = _comparison(run, first)
    found = curves(run.metrics)
    grpo = [stage for stage in run.stages if stage.get("type") == "grpo"]
    word, sentence = headline(run, result)
    return {
        "run": run,
        "created": run.manifest.get("created_at"),
        "result": result,
        "word": word,
        "sentence": sentence,
        "separate": is_separate(run),
        "shows": shows(run, result),
        "shows_not": shows_not(run, result),
        "rate_panels": rate_panels(result),
        "size_panel": size_panel(result),
        "size_rows": size_rows(result),
        "axis": rate_axis(),
        "styles": {name: i % NUM_STYLES for i, name in enumerate(evaluations)},
        "panels": panels(found),
        "differences": _differences(first),
        "comparison": comparison,
        "changes": _changes(comparison),
        "examples": _examples(comparison),
        "findings": [
            f for stage in grpo for f in grpo_health(stage, of_stage(found, stage["name"]))
        ],
        "unrecorded": {s["name"]: unrecorded(of_stage(found, s["name"])) for s in grpo},
        "times": stage_times(run),
        "in_short": in_short(run),
        "provenance": provenance(run),
        "config_lines": flat_config(run.config),
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "visible": visible,
        "shortened": shortened,
        "fence": fence,
        "cell": table_cell,
        "percent": percent,
        "points": points,
        "number": number,
        "duration": duration,
        "size": size,
        "p_value": p_value,
    }
    environment.globals |= {"rate_cell": rate_cell, "chance_cell": chance_cell, "guess": guess}
    environment.globals["gain_line"] = gain_line
    return environment


def _first_split(evaluations: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    splits = splits_of(evaluations.values())
    return {
        name: evaluation.where(lambda item: item.split == splits[0])
        for name, evaluation in evaluations.items()
    }


def _comparison(run: RunFiles, evaluations: Mapping[str, Evaluation]) -> Comparison | None:
    pair = headline_pair(run, list(evaluations))
    return compare(evaluations[pair[0]], evaluations[pair[1]]) if pair else None


def _differences(evaluations: Mapping[str, Evaluation]) -> list[dict[str, object]]:
    """Each checkpoint against the one before it, and the last against the first."""
    names = list(evaluations)
    pairs = list(pairwise(names))
    if len(names) > 2:
        pairs.append((names[0], names[-1]))
    return [compare(evaluations[before], evaluations[after]).as_dict() for before, after in pairs]


def _changes(comparison: Comparison | None) -> list[dict[str, Any]]:
    if comparison is None:
        return []
    return [
        {
            "words": MOVES[move],
            "count": len(getattr(comparison, move)),
            "listed": [after for _, after in drawn(getattr(comparison, move), NUM_LISTED)],
        }
        for move in ("gained", "lost")
    ]


def _examples(comparison: Comparison | None) -> list[dict[str, Any]]:
    if comparison is None:
        return []
    return [
        {"words": MOVES[move], "move": move, "before": before, "after": after}
        for move, count in NUM_EXAMPLES.items()
        for before, after in drawn(getattr(comparison, move), count)
    ]
