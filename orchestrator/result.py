"""result.json: the figures of a run's table, recomputed from its evaluations.

`checkpoints`, `chance`, `wall_s`, `cpu_s` and `peak_bytes` are what the terminal's table shows, for
the first evaluated split. Beside them stand the other splits, each size, and the paired gain. The
`verdict` follows every measured difference: of each metric, task and split.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from datagen.whole_file import seal_json
from orchestrator.comparison import compare, headline_pair, measures
from orchestrator.evaluations import Evaluation, Item, evaluation_of, read_evaluations, splits_of
from orchestrator.run_files import RunFiles, read_json, read_run, write_text
from orchestrator.statistics import together
from orchestrator.usage import read_usage

CHANCE = ("all_true", "random", "majority")
"""Guessing strategies that need no model, as the dataset's manifest names them."""
USAGE = ("wall_s", "cpu_s", "peak_bytes")

Evaluations = Mapping[str, Evaluation]


def build_result(folder: Path, usage: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return the result of the run in `folder`.

    `usage` holds wall_s and cpu_s (seconds) and peak_bytes of the whole run; without it, those
    that the run has saved are read, and what nobody measured is None.
    """
    run = read_run(folder)
    return result_of(run, read_evaluations(run), usage)


def result_of(
    run: RunFiles, evaluations: Evaluations, usage: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return the result of a run whose files are read already; `usage` as in build_result."""
    spent = usage if usage is not None else _saved_usage(run)
    splits = splits_of(evaluations.values())
    result = _split_result(run, evaluations, splits[0]) if splits else _empty()
    result |= {key: spent.get(key) for key in USAGE}
    result |= {
        "run": run.name,
        "dataset": run.evaluation.get("dataset"),
        "split": splits[0] if splits else None,
        "num_samples": max((e.num_samples for e in evaluations.values()), default=0),
        "unseen": {},
        "other_splits": {},
    }
    for split in splits[1:]:
        other = _split_result(run, evaluations, split)
        unseen = bool(other["held_out_sizes"]) and not _seen(run, evaluations, split)
        result["unseen" if unseen else "other_splits"][split] = other
    result["verdict"] = together(m.verdict for m in measures(result)) if result["gain"] else None
    return result


def evaluation_result(
    checkpoint: str, rows: Iterable[dict[str, Any]], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Return {split: {checkpoints, chance, sizes}} of one checkpoint's answers to a dataset."""
    evaluation = evaluation_of(checkpoint, rows, "answers")
    result = {}
    for split in splits_of([evaluation]):
        chosen = {checkpoint: _of_split(evaluation, split)}
        tasks = _tasks(chosen)
        chance = _chance_of(manifest, split, tasks)
        result[split] = _measured(chosen, chance) | {"sizes": sizes(chosen)}
        if len(tasks) > 1:
            result[split]["tasks"] = {
                task: _measured(_of_task(chosen, task), chance.get(task) or {}) for task in tasks
            }
    return result


def write_result(folder: Path, usage: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Write <folder>/result.json (atomically) and return what it holds."""
    result = build_result(folder, usage)
    write_text(folder / "result.json", seal_json(result))
    return result


def _saved_usage(run: RunFiles) -> Mapping[str, float]:
    return read_usage(run.folder) if run.covered else read_json(run.folder / "result.json")


def rates(evaluation: Evaluation) -> dict[str, dict[str, float | int]]:
    """Return {metric: {rate, low, high, n}} and, where there are any, the count `unscored`."""
    measured: dict[str, dict[str, float | int]] = {}
    for metric in evaluation.metrics:
        estimate = evaluation.measure(metric)
        if estimate is None:
            continue
        unscored = evaluation.num_unscored(metric)
        measured[metric] = {**estimate.as_dict(), **({"unscored": unscored} if unscored else {})}
    return measured


def sizes(evaluations: Evaluations) -> dict[str, dict[str, Any]]:
    """Return {checkpoint: {difficulty label: {metric: estimate}}}."""
    found = labels(evaluations)
    return {
        name: {label: rates(_of_label(evaluation, label)) for label in found}
        for name, evaluation in evaluations.items()
    }


def labels(evaluations: Evaluations) -> list[str]:
    """Return the difficulty labels in the order of their numbers ("n5 m9" before "n5 m12")."""
    found = {item.label for e in evaluations.values() for item in e.items if item.label}
    return sorted(found, key=_numbers)


def _split_result(run: RunFiles, evaluations: Evaluations, split: str) -> dict[str, Any]:
    chosen = _where(evaluations, lambda item: item.split == split)
    manifest = run.dataset_manifest(str(run.evaluation.get("dataset")))
    tasks = _tasks(chosen)
    chance = _chance_of(manifest, split, tasks)
    trained = run.trained_labels()
    result = _measured(chosen, chance) | {
        "chance_method": (manifest.get("chance_method") or {}).get(split),
        "sizes": sizes(chosen),
        "held_out_sizes": None
        if trained is None
        else [label for label in labels(chosen) if label not in trained],
        **_gains(run, chosen),
    }
    if len(tasks) > 1:
        result["tasks"] = {task: _task_result(run, chosen, task, chance) for task in tasks}
    return result


def _task_result(
    run: RunFiles, evaluations: Evaluations, task: str, chance: Mapping[str, Any]
) -> dict[str, Any]:
    chosen = _of_task(evaluations, task)
    return _measured(chosen, chance.get(task) or {}) | _gains(run, chosen)


def _chance_of(manifest: Mapping[str, Any], split: str, tasks: list[str]) -> Mapping[str, Any]:
    """What guessing scores on a split: by task, where the split holds several."""
    chance: Mapping[str, Any] = (manifest.get("chance") or {}).get(split) or {}
    own = chance.get(tasks[0]) if len(tasks) == 1 else None
    return own if isinstance(own, Mapping) else chance


def _measured(evaluations: Evaluations, chance: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoints solve, and what guessing does."""
    measured = {name: rates(evaluation) for name, evaluation in evaluations.items()}
    return {"checkpoints": measured, "chance": _chance(chance)}


def _tasks(evaluations: Evaluations) -> list[str]:
    """The tasks in the order of their first problem."""
    return list(dict.fromkeys(item.task for e in evaluations.values() for item in e.items))


def _of_task(evaluations: Evaluations, task: str) -> dict[str, Evaluation]:
    return _where(evaluations, lambda item: item.task == task)


def _gains(run: RunFiles, evaluations: Evaluations) -> dict[str, Any]:
    names = list(evaluations)
    pair = headline_pair(run, names)
    if pair is None:
        return {"gain": None, "gain_over_first": None}
    before, after = pair
    return {
        "gain": compare(evaluations[before], evaluations[after]).as_dict(),
        "gain_over_first": compare(evaluations[names[0]], evaluations[after]).as_dict(),
    }


def _seen(run: RunFiles, evaluations: Evaluations, split: str) -> bool:
    trained = run.trained_labels() or set()
    here = labels(_where(evaluations, lambda item: item.split == split))
    return any(label in trained for label in here)


def _of_split(evaluation: Evaluation, split: str) -> Evaluation:
    return evaluation.where(lambda item: item.split == split)


def _of_label(evaluation: Evaluation, label: str) -> Evaluation:
    return evaluation.where(lambda item: item.label == label)


def _where(evaluations: Evaluations, keep: Callable[[Item], bool]) -> dict[str, Evaluation]:
    chosen = {name: evaluation.where(keep) for name, evaluation in evaluations.items()}
    return {name: evaluation for name, evaluation in chosen.items() if evaluation.items}


def _empty() -> dict[str, Any]:
    return {
        "checkpoints": {},
        "chance": _unknown(),
        "chance_method": None,
        "sizes": {},
        "held_out_sizes": None,
        "gain": None,
        "gain_over_first": None,
    }


def _chance(measured: Mapping[str, Any]) -> dict[str, float | None]:
    """The rates of guessing; those of SAT, unknown, where nothing was measured.

    A split of several tasks has none of its own: they stand with each task.
    """
    return {k: v for k, v in measured.items() if _is_rate(v)} if measured else _unknown()


def _unknown() -> dict[str, float | None]:
    return dict.fromkeys(CHANCE)


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(label: str) -> list[tuple[int, float | str]]:
    """Sort key in which the numbers within a label count as numbers."""
    parts: list[tuple[int, float | str]] = []
    for word in label.replace("=", " ").split():
        letters = word.rstrip("0123456789.")
        digits = word[len(letters) :]
        parts.append((0, letters))
        parts.append((1, float(digits)) if digits.replace(".", "", 1).isdigit() else (2, digits))
    return parts
