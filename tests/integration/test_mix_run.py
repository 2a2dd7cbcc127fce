"""The shipped mix of SAT and ABD, in small, through the pipeline: each task is told apart."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from datagen.manifest import load_manifest
from orchestrator.cli import run_command
from orchestrator.config import load_config
from orchestrator.pipeline import run_pipeline
from orchestrator.progress import Progress
from trainers.rollout_log import read_rollouts
from trainers.scoring import RUN_ENDS

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "sat_abd.yaml"
SMALL = (
    "model.hidden_size=32",
    "model.num_hidden_layers=2",
    "datasets.mix.sat.sizes=[{n: 3, m: 4}]",
    "datasets.mix.abd.programs.levels=[{level: micro, lines: 3, depth: 1, inputs: 1}]",
    "datasets.mix.splits.test=40",
    "datasets.mix.splits.validation=16",
    "datasets.mix.splits.warmup.num_problems=120",
    "datasets.mix.splits.warmup.sat.demonstrations.walk_fraction=0.2",
    "datasets.mix.splits.train=60",
    "stages.sft.max_steps=40",
    "stages.sft.batch_size=32",
    "stages.sft.learning_rate=1e-2",
    "stages.sft.warmup_steps=2",
    "stages.grpo.max_steps=4",
    "stages.grpo.generation_batch_size=64",
    "stages.grpo.logging_steps=2",
    "stages.grpo.eval_steps=2",
    "evaluation.num_samples=2",
    "resources.num_workers=0",
)
TASKS = ("sat", "abd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Path:
    storage = tmp_path_factory.mktemp("runs")
    config = load_config(CONFIG, overrides=(*SMALL, f"storage={storage}")).config
    with Progress(StringIO(), interval_s=0.2) as progress:
        return run_pipeline(config, fresh=False, verbose=False, progress=progress)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_hold_each_task_and_how_its_programs_ended(folder: Path) -> None:
    rows = [row for row in lines(folder / "metrics.jsonl") if row["stage"] == "grpo"]
    assert [row["step"] for row in rows] == [2, 4]
    for row in rows:
        assert {f"reward/{task}" for task in TASKS} < row.keys()
        assert {f"validation/{task}" for task in TASKS} < row.keys()
        low, high = sorted(row[f"reward/{task}"] for task in TASKS)
        assert low <= row["reward/mean"] <= high
        ends = {end: row[f"sandbox/{end}"] for end in RUN_ENDS}
        assert sum(ends.values()) == pytest.approx(1)
        assert ends["sandbox"] == 0 and ends["ok"] > 0
    assert sum(row["reward/abd"] for row in rows) > 0


def test_timings_hold_the_time_of_rewards(folder: Path) -> None:
    rows = [row for row in lines(folder / "timings.jsonl") if row["stage"] == "grpo"]
    assert all(row["reward_s"] > 0 for row in rows)


def test_rollouts_say_how_each_task_was_judged(folder: Path) -> None:
    (path,) = folder.glob("rollouts/grpo*.jsonl")
    reasons: dict[str, set[str]] = {task: set() for task in TASKS}
    for rollout in read_rollouts(path, 0, 10_000):
        reasons[rollout["problem_id"].split(":")[0]].add(rollout["reason"])
    assert {"correct", "unsatisfied_clause"} <= reasons["sat"]
    assert {"correct", "wrong_output"} <= reasons["abd"]


def test_the_result_tells_each_task_with_its_baselines_and_gain(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    manifest = load_manifest(folder / "datasets" / "mix")
    assert result["chance"] == {}
    for task in TASKS:
        block = result["tasks"][task]
        assert block["chance"] == manifest.chance["test"][task]
        assert block["checkpoints"]["grpo"]["greedy"]["n"] == 20
        assert block["gain"]["after"] == "grpo"
    evaluated = lines(folder / "evaluations" / "grpo.jsonl")
    solved = [row["greedy"]["score"] == 1 for row in evaluated if row["task"] == "abd"]
    measured = result["tasks"]["abd"]["checkpoints"]["grpo"]["greedy"]["rate"]
    assert measured == pytest.approx(sum(solved) / len(solved))


def test_the_report_shows_each_task(folder: Path) -> None:
    text = (folder / "delta_report.md").read_text()
    page = (folder / "delta_report.html").read_text()
    for task in TASKS:
        assert f"### Task {task}" in text
        assert f"Task {task}:" in text
        assert f"Mean reward: {task}" in page
    assert "guess: random input" in text and "guess: majority" in text
    assert "gold answers to abd; sat was learned from demonstrations without any" in text
    assert "Programs: timeout" in page
    assert "WITHOUT the guards" not in text


def test_mlflow_holds_the_curves_and_rates_of_each_task(folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{folder.parent}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "clutch"]
    (run,) = client.search_runs([experiment.experiment_id])
    names = run.data.metrics.keys()
    for task in TASKS:
        assert any(f"reward/{task}" in name for name in names)
        assert any(name.endswith(f"grpo/{task}/greedy") for name in names)
    assert any("sandbox/ok" in name for name in names)
    assert any(name.endswith("grpo/time/reward_s") for name in names)


def test_a_checkpoint_is_measured_on_both_tasks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder / "datasets" / "mix"
    command = ["evaluate", str(folder / "checkpoints" / "grpo"), "--data", str(data), "--json"]
    assert run_command([*command, "--num-samples", "2", "--max-completion-length", "8"]) == 0
    result = json.loads(capsys.readouterr().out)["test"]
    assert set(result["tasks"]) == set(TASKS)
    again = json.loads((folder / "result.json").read_text())["tasks"]
    for task in TASKS:
        assert (
            result["tasks"][task]["checkpoints"]["grpo"]["greedy"]
            == (again[task]["checkpoints"]["grpo"]["greedy"])
        )
