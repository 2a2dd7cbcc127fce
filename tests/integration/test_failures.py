"""Runs that cannot go on: exit code, and one line that says why and what is left."""

import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from orchestrator.cli import run_command
from tests.chaos.marked_run import marked_run
from tests.command import clutch
from tests.small_models import save_small_model
from tests.small_quickstart import QUICKSTART, small_overrides
from trainers.checkpoint import load_state

pytestmark = pytest.mark.integration


def run_in_process(storage: Path, *sets: str) -> int:
    more = ("resources.num_workers=0", "resources.max_failures=0", "tracking.type=none", *sets)
    return run_command(
        ["run", str(QUICKSTART), *(f"--set={s}" for s in small_overrides(storage, *more))]
    )


def the_line(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr().err
    assert "Traceback" not in told
    (line,) = [line for line in told.splitlines() if line.startswith("clutch: ")]
    return line


def test_a_loss_that_is_not_finite_ends_with_1(
    tmp_path: Path, local_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = ("stages.sft.learning_rate=1.0", "stages.sft.weight_decay=1e30")
    assert run_in_process(tmp_path, *wild, "stages.sft.save_steps=1") == 1
    line = the_line(capsys)
    state = load_state(tmp_path / "quickstart" / "state" / "sft")
    assert state is not None
    assert f"stage sft: loss or gradient is not finite at step {state.step + 1}" in line
    assert f"the last good state is {state.path}" in line
    assert "lower learning_rate (now 1)" in line


def test_a_model_with_nan_weights_is_refused_when_it_is_loaded(
    tmp_path: Path, local_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_small_model("qwen2", tmp_path / "model")
    with torch.no_grad():
        next(iter(model.parameters())).fill_(float("nan"))
    model.save_pretrained(tmp_path / "model")
    config = tmp_path / "nan.yaml"
    config.write_text(
        "name: nan\n"
        f"storage: {tmp_path / 'runs'}\n"
        f"model: {{type: hf, path: {tmp_path / 'model'}}}\n"
        "datasets:\n"
        "  sat: {type: sat, style: compact, sizes: [{n: 3, m: 3}], splits: {train: 8, test: 2}}\n"
        "stages:\n"
        "  - {type: sft, dataset: sat, max_steps: 2, batch_size: 4, max_completion_length: 16}\n"
        "evaluation: {dataset: sat, num_samples: 1, max_completion_length: 4}\n"
        "resources: {num_workers: 0, max_failures: 0}\n"
        "tracking: {type: none}\n"
    )
    assert run_command(["run", str(config)]) == 2
    assert "is not finite: restore the model's files" in the_line(capsys)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("stages.grpo.max_prompt_length=9", "make a prompt of 17 tokens, and stages.1 leaves 9"),
        ("model.max_variables=2", "model.max_variables is 2: raise it to 3"),
    ],
)
def test_what_a_tiny_model_cannot_read_ends_with_2_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, message: str
) -> None:
    assert run_in_process(tmp_path, wrong) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_whose_bytes_changed_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = ["datagen", "sat", "--out", data, "--n", "3", "--m", "4", "--num", "12"]
    assert clutch(*made, "--style", "compact").returncode == 0
    (shard,) = data.glob("*.parquet")
    table = pq.read_table(shard)
    pq.write_table(table.slice(0, 11), shard)
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: x\nstorage: {tmp_path}\ndatasets: {{sat: {{type: path, path: {data}}}}}\n"
        "stages: [{type: sft, dataset: sat, max_steps: 1, max_completion_length: 8}]\n"
        "evaluation: {dataset: sat, splits: [train], max_completion_length: 8}\n"
    )
    done = clutch("run", config)
    assert done.returncode == 2
    assert refusal(done).count(shard.name) == 1
    checkpoint = tmp_path / "model"
    save_small_model("llama", checkpoint)
    again = clutch("evaluate", checkpoint, "--data", data, "--split", "train")
    assert again.returncode == 2
    assert shard.name in refusal(again)


def test_a_missing_model_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    sets = small_overrides(tmp_path / "runs", f"model={{type: hf, path: {gone}}}")
    sets = [text for text in sets if not text.startswith("model.")]
    done = clutch("run", QUICKSTART, *(f"--set={text}" for text in sets))
    assert done.returncode == 2
    assert f"model.path '{gone}' does not exist" in refusal(done)
    assert not (tmp_path / "runs" / "quickstart").exists()


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 2, done.stderr
    return done.stderr


def test_an_evaluation_that_is_terminated_writes_nothing(tmp_path: Path) -> None:
    save_small_model("llama", tmp_path / "model")
    data, out = tmp_path / "data", tmp_path / "answers.jsonl"
    made = ["datagen", "sat", "--out", data, "--n", "6", "--m", "12", "--num", "400"]
    assert clutch(*made, "--style", "compact").returncode == 0
    long = ["--split", "train", "--num-samples", "64", "--out", out, "--json"]
    evaluate = ("evaluate", tmp_path / "model", "--data", data, *long)
    with marked_run(*evaluate[1:], command=evaluate[:1]) as run:
        maps, deadline = Path(f"/proc/{run.process.pid}/maps"), time.monotonic() + 120
        while "libtorch" not in maps.read_text():
            assert run.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        code, told = run.stop(signal.SIGTERM)
    assert code == 143
    assert told.splitlines()[-1] == "terminated" and "Traceback" not in told
    assert not out.exists()
