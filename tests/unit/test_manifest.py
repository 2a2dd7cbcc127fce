"""run_manifest.json: what a run was made from."""

import json
import shutil
import subprocess
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

import pytest
import torch

from datagen.whole_file import DamageError
from orchestrator.config import RunConfig, config_data, config_hash, load_config
from orchestrator.manifest import (
    RunManifest,
    build_manifest,
    describe_code,
    hash_checkpoint,
    read_manifest,
    write_manifest,
)
from orchestrator.pipeline import RunPaths
from orchestrator.yaml_source import ConfigError
from tests.small_run import CONFIG


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return load_config(path, ("seed=3",)).config


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "weights.bin").write_bytes(b"\x00\x01")
    return folder


def test_a_manifest_says_what_a_run_was_made_from(config: RunConfig, checkpoint: Path) -> None:
    base = hash_checkpoint(checkpoint)
    manifest = build_manifest(config, datasets={"main": "a" * 64}, base_checkpoint=base)
    data = json.loads(manifest.model_dump_json())
    assert UUID(data["run_id"]).version == 4
    assert datetime.fromisoformat(data["created_at"]).tzinfo is not None
    assert data["config"] == config_data(config)
    assert data["config_hash"] == config_hash(config)
    assert data["dataset_hash"] == data["datasets"]["main"] == "a" * 64
    assert data["base_checkpoint"] == {"path": str(checkpoint), "sha256": base.sha256}
    assert data["seed"] == 3
    assert data["packages"]["torch"] == torch.__version__
    assert data["hardware"]["num_cpus"] >= 1
    assert data["hardware"]["memory_bytes"] > 2**28


def test_several_datasets_have_a_joint_hash(config: RunConfig) -> None:
    def joint(**datasets: str) -> str:
        return build_manifest(config, datasets=datasets).dataset_hash

    assert joint(a="1", b="2") == joint(b="2", a="1")
    assert len({joint(a="1", b="2"), joint(a="2", b="1"), joint(a="1", b="3"), "1", "2"}) == 5


def test_a_run_that_goes_on_keeps_its_id_and_birth(config: RunConfig, tmp_path: Path) -> None:
    first = build_manifest(config, datasets={"main": "1"})
    write_manifest(tmp_path, first)
    earlier = read_manifest(tmp_path)
    assert earlier == first
    again = build_manifest(config, datasets={"main": "2"}, earlier=earlier)
    assert (again.run_id, again.created_at) == (first.run_id, first.created_at)
    assert again.datasets == {"main": "2"}
    assert build_manifest(config, datasets={}).run_id != first.run_id


def test_a_manifest_is_written_whole_and_read_back(config: RunConfig, tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    path = write_manifest(tmp_path, build_manifest(config, datasets={"main": "1"}))
    assert path.name == "run_manifest.json"
    assert not list(tmp_path.glob("*.partial"))
    path.write_text(path.read_text()[:100])
    with pytest.raises(DamageError, match=r"run_manifest\.json does not match its hash"):
        read_manifest(tmp_path)
    path.write_text('{"format": "clutch-run-v1"}')
    with pytest.raises(ConfigError, match=r"run_manifest\.json is of an earlier version"):
        read_manifest(tmp_path)


def test_fields_of_a_newer_version_are_kept(config: RunConfig) -> None:
    data = json.loads(build_manifest(config, datasets={}).model_dump_json())
    newer = RunManifest.model_validate_json(json.dumps({**data, "later": 1}))
    assert json.loads(newer.model_dump_json())["later"] == 1


def test_a_checkpoints_hash_is_of_names_and_bytes(checkpoint: Path, tmp_path: Path) -> None:
    first = hash_checkpoint(checkpoint).sha256
    moved = shutil.copytree(checkpoint, tmp_path / "copy")
    assert hash_checkpoint(moved).sha256 == first
    (moved / "deep" / "weights.bin").rename(moved / "weights.bin")
    renamed = hash_checkpoint(moved).sha256
    (checkpoint / "deep" / "weights.bin").write_bytes(b"\x00\x02")
    assert len({first, renamed, hash_checkpoint(checkpoint).sha256}) == 3
    with pytest.raises(ValueError, match="no checkpoint at"):
        hash_checkpoint(tmp_path / "nope")


def test_the_commit_is_that_of_our_own_repository(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    ours = tmp_path / "orchestrator" / "manifest.py"
    ours.parent.mkdir()
    ours.write_text("x = 1\n")
    (tmp_path / "other.txt").write_text("x")
    git("add", "other.txt")
    git("commit", "-qm", "Somebody else's project")
    assert describe_code(ours.parent).git_sha is None
    git("add", "orchestrator")
    git("commit", "-qm", "Ours")
    assert describe_code(ours.parent).git_sha == git("rev-parse", "HEAD")
    assert describe_code(ours.parent).dirty is False
    ours.write_text("x = 2\n")
    assert describe_code(ours.parent).dirty is True


def test_without_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    code = describe_code(tmp_path)
    assert (code.git_sha, code.dirty) == (None, None)


def test_prompts_of_a_resumed_run_hold_the_day_of_its_start(
    config: RunConfig, tmp_path: Path
) -> None:
    started = build_manifest(config, datasets={"main": "a" * 64})
    started = started.model_copy(update={"created_at": "2024-02-09T23:59:59.000Z"})
    write_manifest(tmp_path, started)
    earlier = read_manifest(tmp_path)
    write_manifest(tmp_path, build_manifest(config, datasets=started.datasets, earlier=earlier))
    assert RunPaths(config, tmp_path).course().today == date(2024, 2, 9)
    assert RunPaths(config, tmp_path / "new").course().today is None
