"""Where a run's result comes from, and what it took: hashes, versions, settings, times."""

from collections.abc import Iterable, Iterator, Mapping
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


def provenance(run: RunFiles) -> list[tuple[str, str]]:
    """Return run_manifest.json without its config as (key, value) lines, the main keys first.

    A main key that the manifest lacks is listed as "not recorded".
    """
    manifest = {key: value for key, value in run.manifest.items() if key != "config"}
    ordered = {key: manifest.pop(key, None) for key in FIRST} | manifest
    return [(key, "not recorded" if value is None else str(value)) for key, value in _flat(ordered)]


def in_short(run: RunFiles) -> list[tuple[str, str]]:
    """Return what identifies the run, briefly, for the head of a report."""
    manifest = run.manifest
    dirty = any(manifest.get(key) for key in ("git_dirty", "dirty", "git_tree_dirty"))
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

    A row's `time` is the Unix time at its end and `step_s` the seconds of a step; `cpu_s` and
    `tokens` count since the row before. What no row has is None.
    """
    by_stage: dict[str, list[Row]] = {}
    for row in run.timings:
        by_stage.setdefault(str(row.get("stage")), []).append(row)
    return [_stage(name, rows) for name, rows in by_stage.items()]


def _stage(name: str, rows: list[Row]) -> dict[str, Any]:
    step_s = _numbers(rows, "step_s")
    steps = _numbers(rows, "step")
    times = _numbers(rows, "time")
    cpu_s, tokens = _numbers(rows, "cpu_s"), _numbers(rows, "tokens")
    return {
        "stage": name,
        "steps": int(max(steps)) if steps else None,
        "step_s": sum(step_s) / len(step_s) if step_s else None,
        "logged_s": max(times) - min(times) if len(times) > 1 else None,
        "cpu_s": sum(cpu_s) if cpu_s else None,
        "tokens": int(sum(tokens)) if tokens else None,
    }


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
