"""Tracking in a real MLflow store (SQLite), read back through MLflow's own client."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from datagen.whole_file import DamageError, seal_json
from orchestrator.config import MlflowConfig, RunConfig, load_config
from orchestrator.manifest import build_manifest, write_manifest
from orchestrator.run_files import lock_file
from orchestrator.tracking import (
    DatasetUse,
    MlflowTracker,
    NoTracker,
    Tracker,
    flatten,
    open_tracker,
)
from orchestrator.tracking_store import end_if_abandoned, open_store, tracking_uri
from tests.serving import serving
from tests.small_run import CONFIG


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose tables are there: making them takes a second, and once is enough."""
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def storage(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "100% runs?#1"
    (folder / "small").mkdir(parents=True)
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


def configured(storage: Path, *overrides: str) -> RunConfig:
    path = storage / "small.yaml"
    path.write_text(CONFIG)
    return load_config(path, (f"storage={storage}", *overrides)).config


def opened(storage: Path, *overrides: str, told: list[str] | None = None) -> MlflowTracker:
    warn = (told if told is not None else []).append
    tracker = open_tracker(configured(storage, *overrides), storage / "small", warn=warn)
    assert isinstance(tracker, MlflowTracker)
    return tracker


def rows(stage: str, steps: Sequence[int]) -> list[dict[str, object]]:
    return [{"stage": stage, "step": step, "loss/policy": step / 10} for step in steps]


def client(storage: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{quote(str(storage))}/mlflow.db")


def test_params_metrics_tags_and_artifacts_arrive(storage: Path) -> None:
    tracker = opened(storage)
    tracker.log_tags({"dataset_hash.main": "abc"})
    tracker.log_metrics(
        [{"stage": "sft", "step": 10, "loss/train": 2.5, "note": "x", "none": None}]
    )
    tracker.log_metrics(rows("grpo", [10, 20]))
    tracker.log_results({"best/grpo/greedy": 0.8})
    file = storage / "small" / "delta_report.md"
    file.write_text("# report\n")
    tracker.log_artifact(file)
    tracker.finish("FINISHED")

    run = client(storage).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "small"
    assert run.data.params["stages.grpo.max_steps"] == "30"
    assert run.data.params["model.hidden_size"] == "48"
    assert run.data.params["datasets.main.sizes.0.m"] == "12"
    assert run.data.tags["dataset_hash.main"] == "abc"
    assert run.data.metrics == {
        "sft/loss/train": 2.5,
        "grpo/loss/policy": 2.0,
        "best/grpo/greedy": 0.8,
    }
    history = client(storage).get_metric_history(tracker.run_id, "grpo/loss/policy")
    assert [(point.step, point.value) for point in history] == [(10, 1.0), (20, 2.0)]
    names = [item.path for item in client(storage).list_artifacts(tracker.run_id)]
    assert names == ["delta_report.md"]
    assert list((storage / "mlflow-artifacts").rglob("delta_report.md"))


def test_a_run_that_goes_on_writes_into_the_same_run_and_no_step_twice(storage: Path) -> None:
    first = opened(storage)
    first.log_metrics(rows("grpo", [10, 20]))
    first.finish("KILLED")
    again = opened(storage)
    assert again.run_id == first.run_id
    assert client(storage).get_run(again.run_id).info.status == "RUNNING"
    again.log_metrics(rows("grpo", [10, 20, 30]))
    history = client(storage).get_metric_history(again.run_id, "grpo/loss/policy")
    assert [point.step for point in history] == [10, 20, 30]


def test_a_run_deleted_in_the_store_is_made_anew(storage: Path) -> None:
    first = opened(storage)
    client(storage).delete_run(first.run_id)
    second = opened(storage)
    assert second.run_id != first.run_id
    state = storage / "small" / "mlflow.json"
    known = json.loads(state.read_text())
    state.write_text(seal_json(known | {"run_id": "0" * 32}))
    third = opened(storage)
    assert third.run_id not in (first.run_id, second.run_id)


def test_a_moved_storage_goes_on_in_the_same_run(storage: Path) -> None:
    first = opened(storage)
    first.log_metrics(rows("grpo", [10]))
    moved = storage.rename(storage.with_name("moved"))
    again = opened(moved)
    assert again.run_id == first.run_id
    again.log_metrics(rows("grpo", [10, 20]))
    assert client(moved).get_run(again.run_id).data.tags["clutch.folder"] == str(moved / "small")
    assert f"{moved}/mlflow.db" in (moved / "small" / "mlflow.json").read_text()
    history = client(moved).get_metric_history(again.run_id, "grpo/loss/policy")
    assert [point.step for point in history] == [10, 20]


def test_another_experiment_is_another_run(storage: Path) -> None:
    first = opened(storage)
    second = opened(storage, "tracking.experiment=other")
    assert second.run_id != first.run_id
    assert client(storage).get_experiment_by_name("other") is not None


def test_a_deleted_experiment_is_restored(storage: Path) -> None:
    opened(storage)
    experiment = client(storage).get_experiment_by_name("clutch")
    client(storage).delete_experiment(experiment.experiment_id)
    tracker = opened(storage)
    assert client(storage).get_run(tracker.run_id).info.experiment_id == experiment.experiment_id


def test_many_rows_are_sent_in_batches(storage: Path) -> None:
    tracker = opened(storage)
    tracker.log_metrics(rows("grpo", range(1, 2501)))
    history = client(storage).get_metric_history(tracker.run_id, "grpo/loss/policy")
    assert len(history) == 2500


def rename_table(storage: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(storage / "mlflow.db")) as store, store:
        store.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_store_that_fails_is_told_once_and_catches_up(storage: Path) -> None:
    told: list[str] = []
    tracker = opened(storage, told=told)
    tracker.log_metrics(rows("grpo", [10]))
    rename_table(storage, "metrics", "lost")
    tracker.log_metrics(rows("grpo", [20]))
    tracker.log_metrics(rows("grpo", [30]))
    tracker.log_metrics(rows("sft", [1]))
    assert len(told) == 1 and "failed, training goes on" in told[0]
    assert len(told[0].splitlines()) == 1
    rename_table(storage, "lost", "metrics")
    tracker.finish("FINISHED")
    for name, steps in (("grpo/loss/policy", [10, 20, 30]), ("sft/loss/policy", [1])):
        history = client(storage).get_metric_history(tracker.run_id, name)
        assert [point.step for point in history] == steps
    assert len(told) == 1


def test_what_never_arrived_is_counted(storage: Path) -> None:
    told: list[str] = []
    tracker = opened(storage, told=told)
    rename_table(storage, "metrics", "lost")
    tracker.log_metrics(rows("grpo", [20, 30]))
    tracker.finish("FINISHED")
    assert told[-1] == "2 rows or values did not reach MLflow: they are in metrics.jsonl"


def test_a_file_that_is_not_there_does_not_stop_a_run(storage: Path) -> None:
    told: list[str] = []
    opened(storage, told=told).log_artifact(storage / "nope.md")
    assert "nope.md" in told[0]


@pytest.mark.parametrize("uri", ["file:///tmp/x", "nope://x", "sqlite:////dev/null/mlflow.db"])
def test_a_store_that_cannot_be_opened_is_the_users_mistake(storage: Path, uri: str) -> None:
    with pytest.raises(ValueError) as caught:
        opened(storage, f"tracking.uri={uri}")
    assert str(caught.value).startswith(f'tracking.uri is "{uri}", which cannot be opened: ')
    assert len(str(caught.value).splitlines()) == 1


def test_the_store_is_the_configured_one_then_the_environments_then_sqlite(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(storage)
    assert config.tracking.type == "mlflow"
    assert tracking_uri(config.tracking, storage) == f"sqlite:///{quote(str(storage))}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert tracking_uri(config.tracking, storage) == "http://localhost:5000"
    told = configured(storage, "tracking.uri=http://other")
    assert told.tracking.type == "mlflow"
    assert tracking_uri(told.tracking, storage) == "http://other"


def test_the_ui_line_opens_this_store(storage: Path) -> None:
    line = opened(storage).ui_line
    assert line == f"mlflow ui --backend-store-uri sqlite:///{quote(str(storage))}/mlflow.db"


def test_datasets_are_inputs_of_the_run(storage: Path) -> None:
    tracker, digest = opened(storage), "0123456789abcdef" * 4
    uses = [
        DatasetUse("main/train", digest, storage / "data", "train"),
        DatasetUse("main/test", digest, storage / "data", "eval"),
    ]
    tracker.log_datasets(uses)
    tracker.log_datasets(uses)
    inputs = client(storage).get_run(tracker.run_id).inputs.dataset_inputs
    found = {i.dataset.name: {tag.key: tag.value for tag in i.tags} for i in inputs}
    assert found == {
        "main/train": {"mlflow.data.context": "train"},
        "main/test": {"mlflow.data.context": "eval"},
    }
    assert {i.dataset.digest for i in inputs} == {digest[:36]} and len(inputs) == 2
    assert json.loads(inputs[0].dataset.source) == {
        "uri": (storage / "data").as_uri(),
        "sha256": digest,
    }


def test_source_and_commit_are_mlflows_own_tags(storage: Path) -> None:
    manifest = build_manifest(configured(storage), datasets={"main": "abc"})
    manifest = manifest.model_copy(update={"git_sha": "f" * 40})
    write_manifest(storage / "small", manifest)
    tags = client(storage).get_run(opened(storage).run_id).data.tags
    assert tags["mlflow.source.name"] == "clutch run"
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.source.git.commit"] == "f" * 40


def test_a_text_is_kept_as_a_file(storage: Path) -> None:
    tracker = opened(storage)
    tracker.log_text("<svg/>", "figures/reward-mean.svg")
    names = [i.path for i in client(storage).list_artifacts(tracker.run_id, "figures")]
    assert names == ["figures/reward-mean.svg"]


def test_a_killed_run_is_ended_by_the_next_run_that_meets_it(storage: Path) -> None:
    killed = opened(storage)
    (storage / "alive").mkdir()
    alive = open_tracker(configured(storage, "name=alive"), storage / "alive")
    assert isinstance(alive, MlflowTracker)
    (storage / "next").mkdir()
    with lock_file(storage / "alive").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        open_tracker(configured(storage, "name=next"), storage / "next")
    assert client(storage).get_run(killed.run_id).info.status == "KILLED"
    assert client(storage).get_run(alive.run_id).info.status == "RUNNING"
    assert opened(storage).run_id == killed.run_id
    assert client(storage).get_run(killed.run_id).info.status == "RUNNING"


def test_runs_of_another_machine_are_left_alone(storage: Path) -> None:
    elsewhere = opened(storage)
    client(storage).set_tag(elsewhere.run_id, "clutch.host", "another-machine")
    (storage / "next").mkdir()
    open_tracker(configured(storage, "name=next"), storage / "next")
    assert client(storage).get_run(elsewhere.run_id).info.status == "RUNNING"


def test_a_killed_run_is_ended_by_a_command_about_its_folder(storage: Path) -> None:
    killed = opened(storage)
    with lock_file(storage / "small").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        end_if_abandoned(storage / "small")
        assert client(storage).get_run(killed.run_id).info.status == "RUNNING"
    end_if_abandoned(storage / "small")
    assert client(storage).get_run(killed.run_id).info.status == "KILLED"


def test_none_tracks_nothing(storage: Path) -> None:
    tracker: Tracker = open_tracker(configured(storage, "tracking.type=none"), storage / "small")
    assert isinstance(tracker, NoTracker)
    tracker.log_metrics(rows("grpo", [1]))
    tracker.finish("FINISHED")
    assert tracker.ui_line is None
    assert not (storage / "small" / "mlflow.json").exists()


def _open_in_a_process(storage: str, name: str) -> None:
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    folder = Path(storage) / name
    folder.mkdir()
    config = load_config(Path(storage) / "small.yaml", (f"storage={storage}", f"name={name}"))
    open_tracker(config.config, folder).finish("FINISHED")


def test_two_runs_may_make_the_store_at_once(storage: Path) -> None:
    configured(storage)
    (storage / "mlflow.db").unlink()
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_open_in_a_process, args=(str(storage), f"run{i}")) for i in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0]
    experiment = client(storage).get_experiment_by_name("clutch")
    assert len(client(storage).search_runs([experiment.experiment_id])) == 2


def test_a_kill_while_the_store_is_made_leaves_none_and_the_next_start_makes_it(
    storage: Path,
) -> None:
    configured(storage)
    (storage / "mlflow.db").unlink()
    process = multiprocessing.get_context("spawn").Process(
        target=_open_in_a_process, args=(str(storage), "killed")
    )
    process.start()
    partial = storage / ".mlflow.db.partial"
    while process.is_alive() and not (partial.is_file() and partial.stat().st_size):
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (storage / "mlflow.db").exists()
    opened(storage).finish("FINISHED")
    assert not partial.exists()


def test_a_store_with_half_its_tables_names_the_file_to_delete(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    with pytest.raises(
        ValueError, match=r"mlflow\.db\".*tables .* are incomplete.*delete the file"
    ):
        open_store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql"])
def test_a_server_that_is_not_there_is_told_in_one_line(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ValueError) as caught:
        open_store(f"{scheme}://me:secret@127.0.0.1:{port}/runs", tmp_path)
    assert str(caught.value) == (
        f'tracking.uri is "{scheme}://me:***@127.0.0.1:{port}/runs", which cannot be opened: '
        "[Errno 111] Connection refused"
    )


def test_a_database_without_its_driver_names_the_package(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError) as caught:
            open_store(f"postgresql://127.0.0.1:{port}/runs", tmp_path)
    assert str(caught.value).endswith(
        "whose driver is not installed: pip install 'psycopg[binary]'"
    )


def test_a_server_that_is_no_mlflow_is_told_in_one_line(tmp_path: Path) -> None:
    with (
        serving(HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)) as server,
        pytest.raises(ValueError) as caught,
    ):
        open_store(f"http://127.0.0.1:{server.server_port}", tmp_path)
    assert "cannot be opened" in str(caught.value) and "501" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_flatten_names_stages_and_keeps_short_lists() -> None:
    data = {"a": {"b": 1, "c": None}, "l": [1, 2], "stages": [{"type": "sft", "x": True}], "e": {}}
    assert flatten(data) == {
        "a.b": "1",
        "a.c": "null",
        "l": "[1, 2]",
        "stages.sft.type": "sft",
        "stages.sft.x": "true",
        "e": "{}",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "sqlite:////s/100%25%20a%3Fb%23/mlflow.db"),
        ("~/mlruns", "/home/me/mlruns"),
        ("sqlite:///~/m.db", "sqlite:////home/me/m.db"),
        ("file://~/mlruns", "file:///home/me/mlruns"),
        ("http://host/~me", "http://host/~me"),
    ],
)
def test_a_store_is_found_where_it_is_written(
    given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(MlflowConfig(uri=given), Path("/s/100% a?b#")) == expected


def test_a_changed_state_is_named(storage: Path) -> None:
    opened(storage)
    state = storage / "small" / "mlflow.json"
    whole = state.read_bytes()
    for changed in (whole.replace(b"1", b"2", 1), whole[:-3], b"{"):
        state.write_bytes(changed)
        with pytest.raises(DamageError, match=r"mlflow\.json does not match its hash.* or remove"):
            opened(storage)
