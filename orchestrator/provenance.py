"""Where a run's result comes from, and what it took: hashes, versions, settings, times."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from statistics import fmean
from typing import Any

from orchestrator.run_files import Row, RunFiles

FIRST = (
    "run_id",
    "created_at",
    "seed",
    "config_hash",
    "dataset_hash",
    "base_checkpoint",
    "git_sha",
)
"""Keys of run_manifest.json that a reader asks for first; the others follow as they stand."""

TOTALS = ("wall_s", "cpu_s")
"""Durations in timings.jsonl that count up over a stage."""


def provenance(run: RunFiles) -> list[tuple[str, str]]:
    """Return run_manifest.json without its config as (key, value) lines, the main keys first.

    A main key that the manifest lacks is listed as "not recorded"; a model of the Hub has a name.
    """
    manifest = {key: value for key, value in run.manifest.items() if key != "config"}
    model = run.config.get("model") or {}
    if manifest.get("base_checkpoint") is None and model.get("path"):
        revision = f" at {model['revision']}" if model.get("revision") else ""
        manifest["base_checkpoint"] = f"{model['path']}{revision}, whose hash was not recorded"
    ordered = {key: manifest.pop(key, None) for key in FIRST} | manifest
    return [(key, "not recorded" if value is None else str(value)) for key, value in _flat(ordered)]


def in_short(run: RunFiles) -> list[tuple[str, str]]:
    """Return what identifies the run, briefly, for the head of a report."""
    manifest = run.manifest
    dirty = manifest.get("git_dirty")
    name = str(run.evaluation.get("dataset") or "")
    digest = run.dataset_manifest(name).get("dataset_hash") or manifest.get("dataset_hash")
    seed = manifest.get("seed", run.config.get("seed"))
    return [
        ("config", _short(manifest.get("config_hash"))),
        (f"dataset {name}".strip(), _short(digest)),
        ("seed", "not recorded" if seed is None else str(seed)),
        ("code", _short(manifest.get("git_sha")) + (" with uncommitted changes" if dirty else "")),
    ]


def flat_config(config: Row) -> list[tuple[str, str]]:
    """Return a config as (dotted key, value) lines, as `--set` takes them."""
    return [(key, str(value)) for key, value in _flat(config)]


def stage_times(run: RunFiles) -> list[dict[str, Any]]:
    """Return what each stage took, from timings.jsonl, in order of first appearance.

    `wall_s` and `cpu_s` of a row (of the first worker) count from when the stage was opened, anew
    after a resume; the other durations are means of a step. What no row has is None.
    """
    by_stage: dict[str, list[Row]] = {}
    for row in run.timings:
        by_stage.setdefault(str(row.get("stage")), []).append(row)
    return [_stage(name, rows) for name, rows in by_stage.items()]


def _stage(name: str, rows: list[Row]) -> dict[str, Any]:
    steps, means = _numbers(rows, "step"), {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = _numbers(rows, key)
        if key.endswith("_s") and key not in TOTALS and values:
            means[key.removesuffix("_s").replace("_", " ")] = fmean(values)
    return {
        "stage": name,
        "steps": int(max(steps)) if steps else None,
        "step_s": means.pop("step", None),
        "parts": means,
        **{key: _total(_numbers(rows, key)) for key in TOTALS},
    }


def _total(counts: list[float]) -> float | None:
    """Sum a count that starts anew at each resume: its last value before every fall."""
    if not counts:
        return None
    return counts[-1] + sum(a for a, b in pairwise(counts) if b < a)


def _numbers(rows: Iterable[Row], key: str) -> list[float]:
    return [float(row[key]) for row in rows if isinstance(row.get(key), int | float)]


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{name}.")
        elif isinstance(inner, list) and any(isinstance(part, Mapping) for part in inner):
            yield from _flat({str(i): part for i, part in enumerate(inner)}, f"{name}.")
        else:
            yield name, inner


def _short(digest: object) -> str:
    return digest.removeprefix("sha256:")[:12] if isinstance(digest, str) else "not recorded"
