"""`clutch datagen grpo`: what it makes, plans and refuses."""

import json
from pathlib import Path

import pytest

from datagen.config import MixConfig, SatConfig
from datagen.manifest import load_manifest, read_split
from orchestrator.cli import run_command
from orchestrator.generation.size import is_large

COMMAND = ["datagen", "grpo"]
SMALL = ["-n", "40", "--num-test", "10", "--style", "compact", "--sat-n", "4", "--seed", "7"]


def test_it_makes_a_certified_dataset_and_finds_it_again(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "data"
    call = [*COMMAND, *SMALL, "--out", str(folder), "--validate"]
    assert run_command(call) == 0
    first = capsys.readouterr().out
    assert "train 40 rows, test 10 rows; sha256" in first
    assert "certified: 25 abd rows, 25 sat rows" in first
    made = load_manifest(folder)
    assert run_command(call) == 0
    assert load_manifest(folder) == made
    assert {row.task for row in read_split(folder, "test")} == {"sat", "abd"}


def test_json_is_the_manifest_alone(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "data"
    assert run_command([*COMMAND, *SMALL, "--out", str(folder), "--json", "--validate"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["dataset_hash"] == load_manifest(folder).dataset_hash
    assert "certified: " in printed.err


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys) -> None:
    call = [*COMMAND, "-n", "1000000", "--sat-ratio", "0.9", "--out", str(tmp_path / "data")]
    assert run_command([*call, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "900,000 sat, 100,000 abd problems in " in told
    assert "by Ray Data" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-n", "0"], "--num"),
        (["--sat-ratio", "1.5"], "--sat-ratio"),
        (["--sat-n", "2"], "--sat-n"),
        (["--max-dropped", "0"], "--max-dropped is 0: must be above 0"),
        (["--workers", "0"], "--workers is 0: use 1 or more"),
        (["--presign-hours", "3"], "--presign-hours need --upload"),
        (["--presign-hours", "169"], "use 1 to 168"),
        (["--out", "s3://bucket"], "names no dataset: write s3://BUCKET/NAME"),
        (["--out", "s3://bucket/data", "--upload"], "--upload puts a local dataset in the bucket"),
        (["--upload", "--dry-run"], "--upload and --dry-run exclude each other"),
    ],
)
def test_a_mistake_is_told_in_one_line(flags, message, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in flags else ["--out", "data"]
    assert run_command([*COMMAND, *flags, *out]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("num_sat", "num_abd", "large"), [
    (199_999, 0, False), (200_000, 0, True), (0, 50_000, True), (100_000, 25_000, True),
    (50_000, 5_000, False),
])  # fmt: skip
def test_what_takes_longer_than_ray_to_start_is_large(num_sat, num_abd, large) -> None:
    total = num_sat + num_abd
    config = MixConfig(
        type="mix",
        sat={"sizes": [{"n": 7}]},
        abd={"programs": {"type": "procedural", "levels": [{"level": "easy"}]}},
        splits={"train": total},
        sat_ratio=num_sat / total,
    )
    assert is_large(config) == large
    assert not is_large(SatConfig(sizes=[{"n": 7}], splits={"a": 1, "b": 199_998}))
