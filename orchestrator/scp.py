"""metrics.json: a run as SCP v1 training evidence, with true values and times.

Required by the schema: run_id, model, started_at, ended_at, dataset and metrics {loss, accuracy};
further fields are allowed and say what the two numbers are.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datagen.manifest import file_sha256
from orchestrator.comparison import headline_pair
from orchestrator.curves import curves
from orchestrator.evaluations import GREEDY, Evaluation, read_evaluations, splits_of
from orchestrator.evidence import RUN_KEY
from orchestrator.run_files import MANIFEST_NAME, RunFiles, read_run

TRAINING_LOSS = "loss/train"


def scp_metrics(run_folder: Path) -> dict[str, Any]:
    """Return the SCP v1 evidence of a finished run.

    accuracy is the greedy solve rate of the last checkpoint on the first evaluated split. loss is
    the last logged cross-entropy of the last SFT stage (nats a token); a run without SFT gives the
    share of problems not solved. ValueError if the run was not evaluated or holds no times.
    """
    run = read_run(run_folder)
    evaluations = read_evaluations(run)
    last = _last_evaluation(run, evaluations)
    estimate = last.measure(GREEDY)
    if estimate is None:
        raise ValueError(f"{run_folder}: no greedy answer of {last.checkpoint} was scored")
    loss, meaning = _loss(run, estimate.rate)
    return {
        "run_id": str(run.manifest.get("run_id") or run.name),
        "model": _model(run),
        "started_at": _started(run),
        "ended_at": _ended(run, last.checkpoint),
        "dataset": _dataset(run),
        "metrics": {"loss": loss, "accuracy": estimate.rate},
        "notes": f"accuracy: greedy solve rate of {last.checkpoint} on {estimate.n} held-out "
        f"problems (95 % interval {estimate.low:.3f} to {estimate.high:.3f}); loss: {meaning}",
        "checkpoint": last.checkpoint,
        "config_hash": run.manifest.get("config_hash"),
        RUN_KEY: file_sha256(run_folder / MANIFEST_NAME),
        "commit": run.manifest.get("git_sha"),
        "seed": run.config.get("seed"),
    }


def _last_evaluation(run: RunFiles, evaluations: Mapping[str, Evaluation]) -> Evaluation:
    if not evaluations:
        raise ValueError(f"{run.folder} has no evaluations: finish the run with `clutch run`")
    names = list(evaluations)
    pair = headline_pair(run, names)
    last = evaluations[pair[1] if pair else names[0]]
    split = splits_of(evaluations.values())[0]
    return last.where(lambda item: item.split == split)


def _loss(run: RunFiles, accuracy: float) -> tuple[float, str]:
    sft = {str(stage["name"]) for stage in run.stages if stage.get("type") == "sft"}
    found = [c for c in curves(run.metrics) if c.metric == TRAINING_LOSS and c.stage in sft]
    if not found:
        return 1 - accuracy, "share of problems not solved"
    return found[-1].values[-1], f"last cross-entropy of stage {found[-1].stage}, nats a token"


def _model(run: RunFiles) -> str:
    model = run.config.get("model") or {}
    if model.get("path"):
        return str(model["path"])
    width, depth = model.get("hidden_size"), model.get("num_hidden_layers")
    kind = str(model.get("type") or "unknown")
    return f"{kind}-{depth}x{width}" if width and depth else kind


def _dataset(run: RunFiles) -> str:
    name = str(run.evaluation.get("dataset") or "unknown")
    digest = run.dataset_manifest(name).get("dataset_hash")
    return f"{name}@{str(digest)[:12]}" if digest else name


def _started(run: RunFiles) -> str:
    created = run.manifest.get("created_at")
    if not created:
        raise ValueError(f"{run.folder}/run_manifest.json has no created_at: when did it start?")
    return str(created)


def _ended(run: RunFiles, checkpoint: str) -> str:
    written = (run.folder / "evaluations" / f"{checkpoint}.jsonl").stat().st_mtime
    times = [float(row["time"]) for row in run.timings if isinstance(row.get("time"), int | float)]
    return datetime.fromtimestamp(max([*times, written]), UTC).isoformat(timespec="milliseconds")
