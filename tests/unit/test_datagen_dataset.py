"""Datasets on disk: the same bytes every time, whole or absent, and refused when changed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datagen.config import PathConfig, SatConfig, SizeConfig
from datagen.dataset import (
    build_dataset,
    dataset_folder,
    load_manifest,
    read_split,
    verify_dataset,
)

ROOT = Path(__file__).resolve().parents[2]


def config(**changes):
    fields = {
        "family": "q_hidden",
        "style": "compact",
        "sizes": [SizeConfig(n=4, m=10), SizeConfig(n=5, m=12)],
        "splits": {"train": 300, "test": 100},
    }
    return SatConfig.model_validate({**fields, **changes})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def test_rows_have_the_columns_of_a_problem(folder):
    manifest = build_dataset(config(), folder, seed=4)
    table = pq.read_table(folder / "test-00000.parquet")
    columns = ("id", "task", "split", "index", "prompt", "answer", "env", "difficulty")
    assert tuple(table.column_names) == manifest.columns == columns
    rows = list(read_split(folder, "test"))
    assert [row.index for row in rows] == list(range(100))
    assert rows[7].id == "sat:test:4:7"
    assert {row.task for row in rows} == {"sat"}
    labels = [json.loads(row.difficulty)["label"] for row in rows]
    assert manifest.difficulty["test"] == {label: labels.count(label) for label in set(labels)}


def test_the_manifest_is_read_back_as_it_was_written(folder):
    manifest = build_dataset(config(), folder, seed=4)
    assert load_manifest(folder) == verify_dataset(folder) == manifest
    assert manifest.seed == 4
    assert manifest.splits["train"].num_rows == manifest.splits["train"].num_problems == 300
    assert json.loads((folder / "manifest.json").read_text())["format"] == "clutch-dataset-v1"
    assert [path.name for path in sorted(folder.parent.iterdir())] == ["data"]


def test_a_second_call_finds_the_dataset_and_does_nothing(folder):
    first = build_dataset(config(), folder, seed=4)
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    calls = []
    second = build_dataset(config(), folder, seed=4, progress=lambda *call: calls.append(call))
    assert second == first
    assert calls == []
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps


def test_the_same_config_and_seed_give_the_same_bytes_anywhere(tmp_path):
    hashes = {
        build_dataset(config(), tmp_path / name, seed=4).dataset_hash for name in ("a", "b", "c")
    }
    spelled = config(sizes=[{"n": 4, "ratio": 2.5}, {"n": 5, "ratio": 2.4}], seed=4)
    hashes.add(build_dataset(spelled, tmp_path / "d", seed=99).dataset_hash)
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"family": "planted"},
        {"style": "affine"},
        {"sizes": [SizeConfig(n=5, m=12)]},
        {"splits": {"train": 300, "test": 101}},
        {"shard_rows": 64},
    ],
)
def test_any_change_of_the_config_changes_the_hash(change, tmp_path):
    first = build_dataset(config(), tmp_path / "a", seed=4)
    second = build_dataset(config(**change), tmp_path / "b", seed=4)
    assert first.config_hash != second.config_hash
    assert first.dataset_hash != second.dataset_hash
    with pytest.raises(ValueError, match="another config or seed"):
        build_dataset(config(**change), tmp_path / "a", seed=4)


def test_progress_is_told_for_every_split(folder):
    calls = []
    build_dataset(config(), folder, seed=4, progress=lambda *call: calls.append(call))
    assert ("test", 100, 100) in calls
    assert ("train", 300, 300) in calls


def test_progress_counts_all_problems_of_a_large_split(folder):
    calls = []
    splits = {"train": 9000}
    build_dataset(config(splits=splits), folder, seed=4, progress=lambda *call: calls.append(call))
    assert calls == [("train", 4096, 9000), ("train", 8192, 9000), ("train", 9000, 9000)]


def test_shards_hold_at_most_shard_rows(folder):
    manifest = build_dataset(config(shard_rows=64), folder, seed=4)
    shards = manifest.splits["train"].shards
    assert [shard.num_rows for shard in shards] == [64, 64, 64, 64, 44]
    assert [row.index for row in read_split(folder, "train")] == list(range(300))


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_changed_bytes_are_refused_by_name(damage, folder):
    build_dataset(config(), folder, seed=4)
    path = folder / "train-00000.parquet"
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(data[:-1])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    for call in (
        lambda: verify_dataset(folder),
        lambda: list(read_split(folder, "train")),
        lambda: build_dataset(config(), folder, seed=4),
        lambda: build_dataset(PathConfig(type="path", path=str(folder)), folder, seed=4),
    ):
        with pytest.raises(ValueError, match=r"train-00000\.parquet"):
            call()
    assert len(list(read_split(folder, "test"))) == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5, "config": {}}, "config does not match"),
        ({"dataset_hash": "0" * 64}, "shards do not match"),
        ({"format": "clutch-dataset-v0"}, "format 'clutch-dataset-v0'"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_changed_manifest_is_refused(change, message, folder):
    build_dataset(config(), folder, seed=4)
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, **change}))
    with pytest.raises(ValueError, match=message if "format" in change else "manifest"):
        verify_dataset(folder)
    # Somebody else's tool may write a manifest without its own hash.
    path.write_text(json.dumps({**whole, "manifest_hash": None, **change}))
    with pytest.raises(ValueError, match=message):
        verify_dataset(folder)


@pytest.mark.parametrize("field", ["chance", "difficulty", "created_at", "dropped", "name"])
def test_every_field_of_a_manifest_is_covered_by_its_hash(field, folder):
    build_dataset(config(), folder, seed=4)
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, field: "x" if isinstance(whole[field], str) else {}}))
    with pytest.raises(ValueError, match=r"manifest\.json has been changed"):
        load_manifest(folder)


def test_a_manifest_cannot_name_files_elsewhere(folder):
    build_dataset(config(), folder, seed=4)
    path = folder / "manifest.json"
    text = path.read_text().replace("test-00000.parquet", "../test-00000.parquet")
    path.write_text(json.dumps({**json.loads(text), "manifest_hash": None}))
    with pytest.raises(ValueError, match="own folder"):
        verify_dataset(folder)


def test_broken_json_is_refused(folder):
    build_dataset(config(), folder, seed=4)
    (folder / "manifest.json").write_text('{"format":')
    with pytest.raises(ValueError, match=r"manifest\.json is not a dataset manifest"):
        load_manifest(folder)


def test_a_folder_with_other_files_is_left_alone(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty and holds no dataset"):
        build_dataset(config(), folder, seed=4)
    assert (folder / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_filled(folder):
    folder.mkdir(parents=True)
    assert build_dataset(config(), folder, seed=4) == load_manifest(folder)


def test_a_path_config_names_a_dataset_that_exists(tmp_path):
    made = build_dataset(config(), tmp_path / "made", seed=4)
    named = PathConfig(type="path", path=str(tmp_path / "made"))
    assert build_dataset(named, tmp_path / "ignored", seed=9) == made
    assert dataset_folder(named, tmp_path / "ignored") == tmp_path / "made"
    assert dataset_folder(config(), tmp_path / "used") == tmp_path / "used"
    missing = PathConfig(type="path", path=str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="no dataset at"):
        build_dataset(missing, tmp_path / "ignored", seed=9)


def test_a_split_there_is_not_is_refused_with_those_there_are(folder):
    build_dataset(config(), folder, seed=4)
    with pytest.raises(ValueError, match="no split 'tset': it has train, test"):
        list(read_split(folder, "tset"))


def test_a_failed_generation_leaves_nothing(folder):
    def fail(split, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_dataset(config(), folder, seed=4, progress=fail)
    assert list(folder.parent.iterdir()) == []


SLOW_BUILD = """
import sys, time
from pathlib import Path
from datagen.config import SatConfig
from datagen.dataset import build_dataset
def progress(split, done, total):
    print(split, done, flush=True)
    time.sleep(0.2)
config = SatConfig.model_validate_json(sys.argv[1])
build_dataset(config, Path(sys.argv[2]), 4, progress)
"""


@pytest.mark.chaos
@pytest.mark.parametrize("after", ["test 100", "train 4096", "train 8192"])
def test_a_killed_generation_leaves_no_manifest_and_the_next_one_makes_the_same(after, tmp_path):
    settings = config(splits={"train": 20_000, "test": 100})
    undisturbed = build_dataset(settings, tmp_path / "undisturbed", seed=4)
    folder = tmp_path / "killed" / "data"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, settings.model_dump_json(), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == after:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    left = list(folder.parent.iterdir())
    assert not folder.exists()
    assert [path.name.startswith(".data.partial-") for path in left] == [True]
    assert not list(left[0].glob("manifest.json"))
    again = build_dataset(settings, folder, seed=4)
    assert again.dataset_hash == undisturbed.dataset_hash
    assert list(folder.parent.iterdir()) == [folder]


def test_what_living_processes_are_writing_is_left_alone(folder):
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = f".data.partial-{os.uname().nodename}-{os.getppid()}"
    (folder.parent / name).mkdir()
    (folder.parent / ".data.partial-elsewhere-1").mkdir()
    build_dataset(config(), folder, seed=4)
    assert (folder.parent / name).is_dir()
    assert (folder.parent / ".data.partial-elsewhere-1").is_dir()


def test_a_large_mixed_dataset_takes_seconds(folder):
    settings = config(
        splits={
            "train": 40_000,
            "test": 1000,
            "warmup": {"num_problems": 8000, "demonstrations": {}},
        },
        sizes=[SizeConfig(n=n, m=m) for n in (4, 5, 6) for m in (10, 12, 14, 16)],
    )
    start = time.process_time()
    manifest = build_dataset(settings, folder, seed=0)
    assert time.process_time() - start < 10
    assert manifest.splits["warmup"].num_rows == 32_000
