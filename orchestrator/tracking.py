"""Metrics, parameters and artifacts of a run in MLflow, written by the controller alone.

    tracker = open_tracker(config, folder, warn=progress.note)
    tracker.log_metrics([{"stage": "grpo", "step": 10, "reward/mean": 0.4}])
    tracker.finish("FINISHED")

The run's own metrics.jsonl is the truth. A store that stops answering is said once, and what it
missed is sent with the next batch; a store that cannot be opened is a mistake in the config.
"""

import getpass
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils import mlflow_tags
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from datagen.whole_file import replace_text, seal_json
from orchestrator.config import MlflowConfig, RunConfig, config_data, config_hash
from orchestrator.manifest import read_manifest
from orchestrator.tracking_store import (
    FOLDER_TAG,
    HOST_TAG,
    STATE_NAME,
    end_abandoned_runs,
    host,
    open_store,
    read_state,
    reason,
    tracking_uri,
)

Status = Literal["FINISHED", "FAILED", "KILLED"]
Row = Mapping[str, Any]

MAX_METRICS = 1000
MAX_PARAMS = 100
MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000
MAX_DIGEST_LENGTH = 36
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""In the environment of what `ray job submit` starts."""


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A split of a dataset that a run trains on or is measured by."""

    name: str
    sha256: str
    """The dataset's hash."""
    folder: Path
    context: Literal["train", "eval"]


class Tracker(Protocol):
    """Where a run's figures go beside its own folder."""

    @property
    def ui_line(self) -> str | None:
        """The command, or address, that shows what was tracked."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Note facts that are known only now, such as a dataset's hash."""

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Log which datasets the run reads, and for what."""

    def log_metrics(self, rows: Sequence[Row]) -> None:
        """Log rows of metrics.jsonl: stage, step, and `area/name` values."""

    def log_results(self, results: Mapping[str, float]) -> None:
        """Log figures that have no step, such as the solve rate of a checkpoint."""

    def log_artifact(self, path: Path) -> None:
        """Keep a copy of a file."""

    def log_text(self, text: str, name: str) -> None:
        """Keep a text as a file, such as `figures/reward.svg`."""

    def finish(self, status: Status) -> None:
        """Say how the run ended."""


class NoTracker:
    """Tracks nothing."""

    ui_line = None

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Do nothing."""

    def log_metrics(self, rows: Sequence[Row]) -> None:
        """Do nothing."""

    def log_results(self, results: Mapping[str, float]) -> None:
        """Do nothing."""

    def log_artifact(self, path: Path) -> None:
        """Do nothing."""

    def log_text(self, text: str, name: str) -> None:
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
    client = open_store(uri, storage)
    try:
        experiment = _experiment(client, config.tracking.experiment, uri, storage)
        run_id, is_new = _run(client, config, folder, uri, experiment)
        end_abandoned_runs(client, experiment, other_than=run_id)
        tracker = MlflowTracker(client, uri, experiment, run_id, warn)
        if is_new:
            tracker.log_params(flatten(config_data(config)))
    except (MlflowException, OSError) as error:
        raise ValueError(
            f'tracking.uri is "{uri}", which cannot be used: {reason(error)}'
        ) from error
    return tracker


def _experiment(client: MlflowClient, name: str, uri: str, storage: Path) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    # Without a server, artifacts would otherwise go to wherever the command was started.
    artifacts = (storage / "mlflow-artifacts").as_uri() if uri.startswith("sqlite:") else None
    try:
        return str(client.create_experiment(name, artifact_location=artifacts))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return _experiment(client, name, uri, storage)  # another run was quicker


def _run(
    client: MlflowClient, config: RunConfig, folder: Path, uri: str, experiment: str
) -> tuple[str, bool]:
    """The run's id in the store, and whether it is new.

    Ids are unique, so a run is found again also where its storage, and the store, were moved.
    """
    known = read_state(folder)
    run_id = str(known.get("run_id"))
    is_new = known.get("experiment_id") != experiment or not _is_active(client, run_id)
    if is_new:
        tags = _tags(config, folder)
        run_id = str(client.create_run(experiment, run_name=config.name, tags=tags).info.run_id)
    else:
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, FOLDER_TAG, str(folder))
    state = {"uri": uri, "experiment_id": experiment, "run_id": run_id}
    if state != known:
        replace_text(folder / STATE_NAME, seal_json(state))
    return run_id, is_new


def _is_active(client: MlflowClient, run_id: str) -> bool:
    """Whether a store holds a run that was not deleted."""
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def _tags(config: RunConfig, folder: Path) -> dict[str, str]:
    """Our own tags, and those that MLflow's pages show as source, version and user."""
    manifest = read_manifest(folder)
    tags = {
        FOLDER_TAG: str(folder),
        HOST_TAG: host(),
        "clutch.config_hash": config_hash(config),
        mlflow_tags.MLFLOW_SOURCE_NAME: "clutch run",
        mlflow_tags.MLFLOW_SOURCE_TYPE: "JOB" if IN_A_JOB in os.environ else "LOCAL",
        mlflow_tags.MLFLOW_USER: _user(),
    }
    if manifest and manifest.git_sha:
        tags[mlflow_tags.MLFLOW_GIT_COMMIT] = manifest.git_sha
    return tags


def _user() -> str:
    """The account's name; in a container it may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


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

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Log datasets as inputs of the run; what was logged before is not logged twice.

        MLflow's digest holds 36 characters, so it is the beginning of the dataset's sha256; the
        whole one is part of the source.
        """
        inputs = [
            DatasetInput(
                Dataset(
                    name=use.name,
                    digest=use.sha256[:MAX_DIGEST_LENGTH],
                    source_type="local",
                    source=json.dumps({"uri": use.folder.as_uri(), "sha256": use.sha256}),
                ),
                [InputTag(MLFLOW_DATASET_CONTEXT, use.context)],
            )
            for use in uses
        ]
        with self._border():
            self._client.log_inputs(self.run_id, inputs)

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

    def log_text(self, text: str, name: str) -> None:
        """Keep a text as a file in the store."""
        with self._border():
            self._client.log_text(self.run_id, text, name)

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
                self._warn(f"MLflow at {self._uri} failed, training goes on: {reason(error)}")


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
