"""The shipped quickstart, in small, through the pipeline: every file that a run promises."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from mlflow.tracking import MlflowClient
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.manifest import load_manifest
from orchestrator.cli import run_command
from orchestrator.config import config_hash
from orchestrator.manifest import hash_checkpoint
from orchestrator.pipeline import plan_run, run_pipeline
from orchestrator.progress import Progress
from tests.small_quickstart import QUICKSTART, small_overrides, small_quickstart
from trainers.folders import verify_folder
from trainers.rollout_log import read_rollouts

pytestmark = pytest.mark.integration
CHECKPOINTS = ("base", "sft", "grpo")
IN_PROCESS = "resources.num_workers=0"


def run_small(storage: Path, *more: str, fresh: bool = False) -> tuple[Path, str]:
    """Run the small quickstart in this process; return its folder and what progress said."""
    said = StringIO()
    with Progress(said, interval_s=0.2) as progress:
        config = small_quickstart(storage, IN_PROCESS, *more)
        folder = run_pipeline(config, fresh=fresh, verbose=False, progress=progress)
    return folder, said.getvalue()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(storage: Path, local_ray: None) -> tuple[Path, str]:
    return run_small(storage)


@pytest.fixture(scope="module")
def folder(run: tuple[Path, str]) -> Path:
    return run[0]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_manifest_tells_what_was_run(folder: Path, storage: Path) -> None:
    manifest = read(folder / "run_manifest.json")
    config = small_quickstart(storage, IN_PROCESS)
    assert {
        "run_id", "created_at", "config", "config_hash", "seed", "base_checkpoint", "git_sha",
        "git_dirty", "packages", "hardware",
    } <= manifest.keys()  # fmt: skip
    assert manifest["config"] == config.model_dump(mode="json")
    assert manifest["config_hash"] == config_hash(config)
    dataset = load_manifest(folder / "datasets" / "sat")
    assert dataset.dataset_hash in json.dumps(manifest)
    assert manifest["seed"] == 0
    base = hash_checkpoint(folder / "checkpoints" / "base").sha256
    assert manifest["base_checkpoint"] == {"path": "checkpoints/base", "sha256": base}
    assert {"torch", "ray", "transformers", "clutch"} <= manifest["packages"].keys()


def test_metrics_hold_every_row_once_and_no_times(folder: Path) -> None:
    rows = lines(folder / "metrics.jsonl")
    assert [(row["stage"], row["step"]) for row in rows] == [
        ("sft", 10), ("sft", 20), ("sft", 30), ("grpo", 2), ("grpo", 4), ("grpo", 6),
    ]  # fmt: skip
    assert rows[-1]["reward/mean"] > 0
    assert all("loss/train" in row for row in rows[:3])
    assert all({"loss/policy", "reward/mean", "policy/entropy"} <= row.keys() for row in rows[3:])
    assert not [key for row in rows for key in row if key.endswith("_s")]
    times = lines(folder / "timings.jsonl")
    assert [(t["stage"], t["step"]) for t in times] == [(r["stage"], r["step"]) for r in rows]
    assert all(t["step_s"] > 0 for t in times)


def test_every_file_follows_the_umask(folder: Path, storage: Path, tmp_path: Path) -> None:
    """Those of a shared disk are teammates' too; libraries make some with mode 0600."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    wanted = {True: mode(tmp_path / "folder"), False: mode(tmp_path / "file")}
    found = {str(path.relative_to(storage)): path for path in storage.rglob("*")}
    assert f"{folder.name}/checkpoints/grpo/model.safetensors" in found
    wrong = {n: oct(mode(p)) for n, p in found.items() if mode(p) != wanted[p.is_dir()]}
    assert not wrong


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


def test_the_result_has_the_promised_shape(folder: Path) -> None:
    result = read(folder / "result.json")
    assert list(result["checkpoints"]) == list(CHECKPOINTS)
    for measured in result["checkpoints"].values():
        assert list(measured) == ["greedy", "pass@1", "pass@4"]
        for estimate in measured.values():
            assert estimate.keys() == {"rate", "low", "high", "n"}
            assert 0 <= estimate["low"] <= estimate["rate"] <= estimate["high"] <= 1
            assert estimate["n"] == 40
    assert {"all_true", "random", "majority"} <= result["chance"].keys()
    assert all(0 < result["chance"][key] < 1 for key in ("all_true", "random", "majority"))
    assert result["wall_s"] > 0 and result["cpu_s"] > 0 and result["peak_bytes"] > 2**20


def test_rates_are_those_of_the_answers(folder: Path) -> None:
    result = read(folder / "result.json")
    for name in CHECKPOINTS:
        rows = [r for r in lines(folder / "evaluations" / f"{name}.jsonl") if r["split"] == "test"]
        solved = [row["greedy"]["score"] == 1 for row in rows]
        assert result["checkpoints"][name]["greedy"]["rate"] == sum(solved) / len(solved)


def test_every_checkpoint_answers_the_same_problems(folder: Path) -> None:
    ids = [
        [(row["split"], row["id"]) for row in lines(folder / "evaluations" / f"{name}.jsonl")]
        for name in CHECKPOINTS
    ]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == len(ids[0]) == 52
    before, after = folder / "eval_before.jsonl", folder / "eval_after.jsonl"
    assert before.read_bytes() == (folder / "evaluations" / "base.jsonl").read_bytes()
    assert after.read_bytes() == (folder / "evaluations" / "grpo.jsonl").read_bytes()


def test_evidence_is_valid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["evidence", "validate", str(folder / "metrics.json")]) == 0
    assert "valid" in capsys.readouterr().out


def test_rollouts_can_be_paged(folder: Path) -> None:
    path = folder / "rollouts" / "grpo-rank0.jsonl"
    everything = [{k: v for k, v in row.items() if k != "chain"} for row in lines(path)]
    assert len(everything) >= 6 * 32
    assert read_rollouts(path, 10, 5) == everything[10:15]
    assert everything[0].keys() == {
        "step", "problem_id", "sample", "text", "token_ids", "sampler_logprobs", "reward",
        "reason", "advantage", "policy_step",
    }  # fmt: skip
    for row in everything:
        assert len(row["token_ids"]) == len(row["sampler_logprobs"]) > 0
        assert row["reward"] in (0.0, 1.0) and row["reason"]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_checkpoint_opens_elsewhere(folder: Path, name: str) -> None:
    path = folder / "checkpoints" / name
    verify_folder(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path)
    inputs = tokenizer("+1 -2 +3 ; -1 +2 -4 =", return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert out.shape[1] == inputs["input_ids"].shape[1] + 3
    assert "clutch run" in (path / "README.md").read_text()


def test_checkpoints_differ(folder: Path) -> None:
    weights = {
        hashlib.sha256((folder / "checkpoints" / n / "model.safetensors").read_bytes()).hexdigest()
        for n in CHECKPOINTS
    }
    assert len(weights) == 3


def test_the_report_stands_alone(folder: Path) -> None:
    page = (folder / "delta_report.html").read_text()
    assert "<svg" in page and "McNemar" in page
    assert 'src="http' not in page and "<link" not in page
    text = (folder / "delta_report.md").read_text()
    for words in ("McNemar", "unseen", "majority", "n3 m6"):
        assert words in text


def test_mlflow_holds_params_metrics_hash_and_artifacts(folder: Path, storage: Path) -> None:
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    experiment = client.get_experiment_by_name("clutch")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert "stages.grpo.learning_rate" in run.data.params or "learning_rate" in str(run.data.params)
    digest = load_manifest(folder / "datasets" / "sat").dataset_hash
    assert run.data.tags["dataset_hash.sat"] == digest
    history = client.get_metric_history(run.info.run_id, "grpo/reward/mean")
    rows = [row for row in lines(folder / "metrics.jsonl") if row["stage"] == "grpo"]
    assert [point.value for point in history] == [row["reward/mean"] for row in rows]
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"run_manifest.json", "config.yaml", "delta_report.html", "result.json"} <= artifacts
    charts = [artifact.path for artifact in client.list_artifacts(run.info.run_id, "figures")]
    assert "figures/reward-mean.svg" in charts
    chart = client.download_artifacts(run.info.run_id, "figures/reward-mean.svg")
    assert ElementTree.parse(chart).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    inputs = {i.dataset.name: i for i in run.inputs.dataset_inputs}
    contexts = {name: i.tags[0].value for name, i in inputs.items()}
    assert contexts["sat/train"] == "train" and contexts["sat/test"] == "eval"
    assert inputs["sat/train"].dataset.digest == digest[:36]
    assert run.data.tags["mlflow.source.name"] == "clutch run"


def test_progress_off_a_terminal_is_key_value_lines(run: tuple[Path, str]) -> None:
    said = run[1]
    assert "\x1b" not in said and "\r" not in said
    told = [line for line in said.splitlines() if line.strip()]
    assert any(line.startswith('task="generate sat/') for line in told)
    assert any("waiting_for=" in line for line in told)
    assert any(line.startswith("task=") and line.endswith("status=done") for line in told)
    assert all("=" in line for line in told)


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Nothing that costs work is made again meanwhile."""

    def state() -> dict[Path, int]:
        kept = ("datasets", "checkpoints", "evaluations", "rollouts")
        files = [p for name in kept for p in (folder / name).rglob("*") if p.is_file()]
        return {p: p.stat().st_mtime_ns for p in [*files, folder / "metrics.jsonl"]}

    before = state()
    yield
    assert state() == before


def test_a_second_call_does_nothing_again(folder: Path, storage: Path) -> None:
    config = small_quickstart(storage, IN_PROCESS)
    plan = {item.name: item.action for item in plan_run(config, fresh=False)}
    assert {a for name, a in plan.items() if name != "report"} == {"skip"}
    first = read(folder / "run_manifest.json")
    result = read(folder / "result.json")
    with untouched(folder):
        run_small(storage)
    assert read(folder / "run_manifest.json")["run_id"] == first["run_id"]
    assert read(folder / "result.json")["checkpoints"] == result["checkpoints"]


def test_a_moved_run_is_the_same_run(folder: Path, storage: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    storage.rename(moved)
    try:
        elsewhere = moved / folder.name
        with untouched(elsewhere):
            sets = ("tracking.type=none", "resources.start_timeout_s=400")
            assert run_small(moved, *sets)[0] == elsewhere
    finally:
        moved.rename(storage)


def test_a_changed_score_is_evaluated_again(folder: Path, storage: Path) -> None:
    path = folder / "evaluations" / "grpo.jsonl"
    whole, result = path.read_bytes(), read(folder / "result.json")
    path.write_bytes(whole.replace(b'"score": 0.0', b'"score": 1.0', 1))
    assert path.read_bytes() != whole
    _, said = run_small(storage)
    assert f"{path} does not match its hash: its bytes were changed; it is made again" in said
    assert path.read_bytes() == whole
    assert read(folder / "result.json")["checkpoints"] == result["checkpoints"]


def test_another_config_is_refused(
    folder: Path, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = small_overrides(storage, IN_PROCESS, "seed=1")
    with untouched(folder):
        code = run_command(["run", str(QUICKSTART), *(f"--set={text}" for text in sets)])
    told = capsys.readouterr().err
    assert code == 2
    assert "holds a run of another config (seed is 0 there, 1 here)" in told and "--fresh" in told
    assert len(told.splitlines()) == 1


def test_fresh_starts_over_and_a_run_is_a_function_of_its_seed(
    folder: Path, tmp_path: Path
) -> None:
    other, _ = run_small(tmp_path, "seed=1", "tracking.type=none")
    weights = "checkpoints/grpo/model.safetensors"
    assert (other / weights).read_bytes() != (folder / weights).read_bytes()
    again, _ = run_small(tmp_path, "tracking.type=none", fresh=True)
    assert again == other
    for name in (weights, "metrics.jsonl", "rollouts/grpo-rank0.jsonl", "eval_after.jsonl"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name
