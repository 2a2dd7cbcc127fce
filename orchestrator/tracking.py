"""Metrics, parameters and artifacts of a run in MLflow, written by the controller alone.

    tracker = open_tracker(config, folder, warn=progress.note)
    tracker.log_metrics([{"stage": "grpo", "step": 10, "reward/mean": 0.4}])
    tracker.finish("FINISHED")

The run's own metrics.jsonl is the truth. A store that stops answering is said once, and what it
missed is sent with the next batch; a store that cannot be opened is a mistake in the config.
"""

import fcntl
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from orchestrator.config import MlflowConfig, RunConfig, config_data, config_hash

Status = Literal["FINISHED", "FAILED", "KILLED"]
Row = Mapping[str, Any]

STATE_NAME = "mlflow.json"
MAX_METRICS = 1000
MAX_PARAMS = 100
MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000


class Tracker(Protocol):
    """Where a run's figures go beside its own folder."""

    @property
    def ui_line(self) -> str | None:
        """The command, or address, that shows what was tracked."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Note facts that are known only now, such as a dataset's hash."""

    def log_metrics(self, rows: Sequence[Row]) -> None:
        """Log rows of metrics.jsonl: stage, step, and `area/name` values."""

    def log_results(self, results: Mapping[str, float]) -> None:
        """Log figures that have no step, such as the solve rate of a checkpoint."""

    def log_artifact(self, path: Path) -> None:
        """Keep a copy of a file."""

    def finish(self, status: Status) -> None:
        """Say how the run ended."""


class NoTracker:
    """Tracks nothing."""

    ui_line = None

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_metrics(self, rows: Sequence[Row]) -> None:
        """Do nothing."""

    def log_results(self, results: Mapping[str, float]) -> None:
        """Do nothing."""

    def log_artifact(self, path: Path) -> None:
        """Do nothing."""

    def finish(self, status: Status) -> None:
        """Do nothing."""


def open_tracker(
    config: RunConfig, folder: Path, *, warn: Callable[[str], None] = print
) -> Tracker:
    """Open the run's tracker; a run that goes on writes into the same MLflow run as before.

    `folder` is the run's own, which must exist. ValueError if the store cannot be opened.
    """
    if not isinstance(config.tracking, MlflowConfig):
        return NoTracker()
    storage = Path(config.storage).resolve()
    uri = tracking_uri(config.tracking, storage)
    try:
        with _locked(storage):
            client = MlflowClient(uri)
            experiment = _experiment(client, config.tracking.experiment, uri, storage)
        run_id, is_new = _run(client, config, folder, uri, experiment)
        tracker = MlflowTracker(client, uri, experiment, run_id, warn)
        if is_new:
            tracker.log_params(flatten(config_data(config)))
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'tracking.uri is "{uri}", which cannot be opened: {reason}') from error
    return tracker


def tracking_uri(tracking: MlflowConfig, storage: Path) -> str:
    """The store: as configured, MLFLOW_TRACKING_URI, or SQLite in the storage folder."""
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{storage}/mlflow.db"


@contextmanager
def _locked(storage: Path) -> Iterator[None]:
    """One process at a time: a new SQLite store fails when two processes migrate it at once."""
    storage.mkdir(parents=True, exist_ok=True)
    with (storage / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _experiment(client: MlflowClient, name: str, uri: str, storage: Path) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    # Without a server, artifacts would otherwise go to wherever the command was started.
    artifacts = (storage / "mlflow-artifacts").as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, artifact_location=artifacts))


def _run(
    client: MlflowClient, config: RunConfig, folder: Path, uri: str, experiment: str
) -> tuple[str, bool]:
    """The run's id in the store, and whether it is new."""
    state = folder / STATE_NAME
    known = json.loads(state.read_text()) if state.is_file() else {}
    if known.get("uri") == uri and known.get("experiment_id") == experiment:
        try:
            if client.get_run(known["run_id"]).info.lifecycle_stage == "active":
                client.update_run(known["run_id"], status="RUNNING")
                return known["run_id"], False
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    tags = {"clutch.folder": str(folder), "clutch.config_hash": config_hash(config)}
    run_id = str(client.create_run(experiment, run_name=config.name, tags=tags).info.run_id)
    partial = state.with_name(STATE_NAME + ".partial")
    partial.write_text(json.dumps({"uri": uri, "experiment_id": experiment, "run_id": run_id}))
    partial.replace(state)
    return run_id, True


class MlflowTracker:
    """One run in an MLflow store."""

    def __init__(
        self,
        client: MlflowClient,
        uri: str,
        experiment: str,
        run_id: str,
        warn: Callable[[str], None],
    ) -> None:
        """Write into the run `run_id`; made by `open_tracker`."""
        self.run_id = run_id
        self._client, self._uri, self._experiment, self._warn = client, uri, experiment, warn
        self._last_steps: dict[str, int] = {}
        self._rows: list[Row] = []
        self._unsent: list[Metric] = []
        self._warned = False

    @property
    def ui_line(self) -> str:
        """The command, or address, that shows the run."""
        if self._uri.startswith("http"):
            base = self._uri.rstrip("/")
            return f"{base}/#/experiments/{self._experiment}/runs/{self.run_id}"
        return f"mlflow ui --backend-store-uri {shlex.quote(self._uri)}"

    def log_params(self, params: Mapping[str, str]) -> None:
        """Log parameters; MLflow lets each be set once."""
        batch = [Param(_name(key), value[:MAX_PARAM_LENGTH]) for key, value in params.items()]
        for start in range(0, len(batch), MAX_PARAMS):
            self._client.log_batch(self.run_id, params=batch[start : start + MAX_PARAMS])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Note facts that are known only now, such as a dataset's hash."""
        with self._border():
            batch = [RunTag(_name(key), value[:MAX_TAG_LENGTH]) for key, value in tags.items()]
            self._client.log_batch(self.run_id, tags=batch)

    def log_metrics(self, rows: Sequence[Row]) -> None:
        """Log rows of metrics.jsonl as `stage/area/name`; steps logged before are left out."""
        self._rows += rows
        with self._border():
            self._send()

    def log_results(self, results: Mapping[str, float]) -> None:
        """Log figures that have no step, such as the solve rate of a checkpoint."""
        with self._border():
            self._unsent += _metrics(results, "", 0)
            self._send()

    def log_artifact(self, path: Path) -> None:
        """Keep a copy of a file in the store."""
        with self._border():
            self._client.log_artifact(self.run_id, str(path))

    def finish(self, status: Status) -> None:
        """Send what is left and say how the run ended."""
        with self._border():
            self._send()
            self._client.set_terminated(self.run_id, status)
        lost = len(self._rows) + len(self._unsent)
        if lost:
            self._warn(f"{lost} rows or values did not reach MLflow: they are in metrics.jsonl")

    def _take(self, row: Row) -> None:
        stage, step = str(row["stage"]), int(row["step"])
        values = {k: v for k, v in row.items() if k not in ("stage", "step")}
        metrics = _metrics(values, f"{stage}/", step)
        if metrics and stage not in self._last_steps:
            history = self._client.get_metric_history(self.run_id, metrics[0].key)
            self._last_steps[stage] = max((m.step for m in history), default=-1)
        if metrics and step > self._last_steps[stage]:
            self._last_steps[stage] = step
            self._unsent += metrics

    def _send(self) -> None:
        while self._rows:
            self._take(self._rows[0])
            del self._rows[0]
        while self._unsent:
            self._client.log_batch(self.run_id, metrics=self._unsent[:MAX_METRICS])
            del self._unsent[:MAX_METRICS]

    @contextmanager
    def _border(self) -> Iterator[None]:
        """Training goes on when the store does not answer; the first time is told."""
        try:
            yield
        except (MlflowException, OSError) as error:
            if not self._warned:
                self._warned = True
                reason = str(error).splitlines()[0]
                self._warn(f"MLflow at {self._uri} failed, training goes on: {reason}")


def _metrics(values: Mapping[str, Any], prefix: str, step: int) -> list[Metric]:
    """Every number among the values as a metric; None and text are left out."""
    moment = int(time.time() * 1000)
    return [
        Metric(_name(prefix + key), float(value), moment, step)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _name(key: str) -> str:
    """A name that MLflow takes: letters, digits and `_-. :/`."""
    return re.sub(r"[^\w\-. :/]", "_", key, flags=re.ASCII)


def flatten(data: Any, prefix: str = "") -> dict[str, str]:
    """Nested config data as dotted parameters; stages go by their name, short lists as JSON."""
    if isinstance(data, dict) and data:
        pairs = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, list) and any(isinstance(item, dict) for item in data):
        pairs = [(_item_name(item, index), item) for index, item in enumerate(data)]
    else:
        return {prefix: data if isinstance(data, str) else json.dumps(data)}
    flat: dict[str, str] = {}
    for key, value in pairs:
        flat.update(flatten(value, f"{prefix}.{key}" if prefix else key))
    return flat


def _item_name(item: Any, index: int) -> str:
    named = (item.get("name") or item.get("type")) if isinstance(item, dict) else None
    return str(named or index)
