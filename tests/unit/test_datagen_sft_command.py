"""`clutch datagen sft` as a user runs it: what it prints, what it writes, what it refuses."""

import json
import re
from pathlib import Path

import pytest

from orchestrator.cli import run_command
from tests.evaluation_results import add_faults, write_results


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_results(num_windows=2, num_hotkeys=5, num_rows=30)
    add_faults(made, window=1)
    return made.save(tmp_path_factory.mktemp("bucket"))


def ran(capsys, *arguments, code=0):
    assert run_command(["datagen", "sft", *map(str, arguments)]) == code
    return capsys.readouterr()


def test_it_writes_a_dataset_and_tells_what_became_of_each_row(bucket, tmp_path, capsys):
    said = ran(capsys, "--source", bucket, "--out", tmp_path / "data", "--verify").out
    path = tmp_path / "data.json"
    records = json.loads(path.read_text())
    assert said.startswith(f"{path}: {len(records)} rows; sha256 ")
    assert "objects: 11 read of 20 in windows 5411920 to 5412020; 1 empty, " in said
    assert "1 truncated; 2 index entries are no results" in said
    assert "\nnot used: 1 invalid: response.response is over 1,000,000 characters\n" in said
    assert "\nverified sat: the record differs in " in said
    assert json.loads((tmp_path / "data/manifest.json").read_text())["generator_version"] == "1"


def test_quiet_prints_one_line_and_no_progress(bucket, tmp_path, capsys):
    said = ran(capsys, "--source", bucket, "--out", tmp_path / "data", "--quiet")
    assert len(said.out.splitlines()) == 1
    assert said.err == ""


def test_a_dry_run_counts_and_writes_nothing(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ran(capsys, "--source", bucket, "--dry-run", "--env", "sat,abd", "--max-results", 9).out
    assert said.startswith("dry run: 9 rows would be kept, none is written\n")
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_is_never_met_is_named(bucket, capsys):
    said = ran(capsys, "--source", bucket, "--dry-run", "--env", "SAT, sta").out
    assert "--env sta: no row is kept" in said
    assert "--env sat" not in said


def test_the_folder_is_named_by_the_time_by_default(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran(capsys, "--source", bucket, "--quiet")
    folder, file = sorted(tmp_path.iterdir())
    assert re.fullmatch(r"affine_data_[0-9]{8}_[0-9]{6}", folder.name)
    assert file.name == f"{folder.name}.json"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "/nowhere"], "there is no such folder"),
        (["--source", "ftp://x"], "give a path, or s3://BUCKET/KEY"),
        (["--source", "s3:///results"], "names no bucket: write s3://BUCKET/KEY"),
        (["--source", "{bucket}", "--presign-hours", "5"], "--presign-hours need --upload"),
        (["--source", "{bucket}", "--delete-local"], "--delete-local need --upload"),
        (["--source", "{bucket}", "--upload", "--presign-hours", "169"], "use 1 to 168"),
        (["--source", "{bucket}", "--upload", "--dry-run"], "exclude each other"),
        (["--source", "{bucket}", "--tail", "0"], "--tail: tail is 0"),
        (["--source", "{bucket}", "--max-results", "0"], "--max-results: max_results is 0"),
        (["--source", "{bucket}", "--min-score", "nan"], "--min-score: min_score is NaN"),
        (["--source", "{bucket}", "--out", "{bucket}"], "exists: choose another folder"),
        (["--source", "{bucket}/affine", "--dry-run"], "has no affine/index.json"),
        (["--source", "{bucket}", "--min-score", "3", "--out", "{bucket}/x"], "no row is kept"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, bucket, capsys):
    filled = [argument.format(bucket=bucket) for argument in arguments]
    said = ran(capsys, *filled, "--quiet", code=2)
    assert message in said.err
    assert len(said.err.splitlines()) == 1
