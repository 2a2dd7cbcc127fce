"""The MLflow store that runs are tracked in: found, made whole, reached within a deadline.

    client = open_store(tracking_uri(config.tracking, storage), storage)

Errors: ValueError of one line for a store that cannot be opened.
"""

import fcntl
import os
import platform
import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from datagen.strict import at_home
from datagen.whole_file import read_sealed
from orchestrator.config import MlflowConfig
from orchestrator.run_files import is_running
from orchestrator.storage.redaction import hide

STATE_NAME = "mlflow.json"
FOLDER_TAG, HOST_TAG = "clutch.folder", "clutch.host"
FIRST_CONTACT_S = 10
"""Seconds for the first answer of a store over the network."""
FIRST_CONTACT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(FIRST_CONTACT_S),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
DRIVERS = {
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
"""Python modules of databases, and the packages that install them."""

INCOMPLETE = ("already exists", "no such table", "no such column")
"""What SQLite says of tables that were made in part."""


def tracking_uri(tracking: MlflowConfig, storage: Path) -> str:
    """The store: as configured, MLFLOW_TRACKING_URI, or SQLite in the storage folder."""
    given = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        return _sqlite_uri(storage / "mlflow.db")
    for start in ("sqlite:///~", "file://~", "~"):
        if given.startswith(start):
            return start[:-1] + at_home(given[len(start) - 1 :])
    return given


def _sqlite_uri(path: Path) -> str:
    """Return the URI of a database; `?`, `%` and `#` of a path mean something in one."""
    return f"sqlite:///{quote(str(path))}"


def open_store(uri: str, storage: Path) -> MlflowClient:
    """Return a client of a store that has answered; a new SQLite store is made.

    Raises ValueError if the store cannot be opened, within about ten seconds for one that does not
    answer.
    """
    with _opening(uri):
        check_reachable(uri)
        with _locked(storage):
            _make_sqlite(uri, storage)
            with _environment(FIRST_CONTACT):
                client = MlflowClient(uri)
                client.search_experiments(max_results=1)
    return client


def refuse_unreachable(uri: str) -> None:
    """Raise ValueError for a store over the network that does not answer; makes nothing."""
    with _opening(uri):
        check_reachable(uri)
        if uri.startswith("http"):
            with _environment(FIRST_CONTACT):
                MlflowClient(uri).search_experiments(max_results=1)


@contextmanager
def _opening(uri: str) -> Iterator[None]:
    """Turn what goes wrong with a store into one line that names it."""
    try:
        yield
    except ImportError as error:
        package = DRIVERS.get(str(error.name), error.name)
        raise ValueError(
            f'tracking.uri is "{shown(uri)}", whose driver is not installed: pip install {package}'
        ) from error
    except (MlflowException, OSError, SQLAlchemyError) as error:
        raise ValueError(
            f'tracking.uri is "{shown(uri)}", which cannot be opened: {reason(error)}'
        ) from error


def check_reachable(uri: str) -> None:
    """Raise OSError, ImportError or SQLAlchemyError where a store over the network is not there.

    MLflow itself tries for minutes. A URI without a host (a file, a Databricks profile) passes.
    """
    parts = urlsplit(uri)
    hide((parts.password or "", unquote(parts.password or "")))
    scheme = parts.scheme.split("+")[0]
    host_name = parts.hostname
    if scheme not in PORTS or not host_name:
        return
    is_http = scheme.startswith("http")
    if not (is_http and scheme in getproxies() and not proxy_bypass(host_name)):
        port = parts.port or PORTS[scheme]
        socket.create_connection((host_name, port), timeout=FIRST_CONTACT_S).close()
    if not is_http:
        engine = create_sqlalchemy_engine(uri)
        engine.connect().close()
        engine.dispose()


def shown(uri: str) -> str:
    """Return a URI without its password."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def reason(error: Exception) -> str:
    """Return why a store failed, in one line, with the fix where we know it."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    if line.startswith("(sqlite3") and any(sign in line for sign in INCOMPLETE):
        return (
            "the tables of this database are incomplete, as after a kill while they were made; "
            "delete the file (each run's metrics.jsonl holds what was tracked)"
        )
    _, caused, by = line.partition("Caused by ")
    return textwrap.shorten(by if caused else line, 300, placeholder=" ...")


@contextmanager
def _locked(storage: Path) -> Iterator[None]:
    """One process at a time: a new SQLite store fails when two processes migrate it at once."""
    storage.mkdir(parents=True, exist_ok=True)
    with (storage / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while; MLflow reads them at each request."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _make_sqlite(uri: str, storage: Path) -> None:
    """Make a SQLite store that is not there, whole or not at all.

    Its tables come from dozens of migrations; a process that is killed between two of them would
    leave a file that no later command can open.
    """
    if not uri.startswith("sqlite:"):
        return
    database = make_url(uri).database
    if not database or database == ":memory:" or Path(database).exists():
        return
    place = Path(database)
    partial = place.with_name(f".{place.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        store = SqlAlchemyStore(_sqlite_uri(partial), (storage / "mlflow-artifacts").as_uri())
        store.engine.dispose()
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def host() -> str:
    """Name of this machine: only it can tell whether a process of its own still runs."""
    return platform.node()


def end_abandoned_runs(client: MlflowClient, experiment: str, *, other_than: str) -> None:
    """End runs of this machine that say RUNNING though nothing runs in their folder, as KILLED."""
    found = client.search_runs(
        [experiment],
        f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{host()}'",
        ViewType.ACTIVE_ONLY,
    )
    for run in found:
        folder = run.data.tags.get(FOLDER_TAG)
        if run.info.run_id != other_than and folder and not is_running(Path(folder)):
            client.set_terminated(run.info.run_id, "KILLED")


def read_state(folder: Path) -> dict[str, str]:
    """Return uri, experiment_id and run_id of the MLflow run of a run's folder, empty without one.

    Raises DamageError where the file was changed.
    """
    path = folder / STATE_NAME
    if not path.is_file():
        return {}
    return read_sealed(path, "restore it, or remove it: clutch run then makes a new MLflow run")


def end_if_abandoned(folder: Path) -> None:
    """End the MLflow run of a run's folder as KILLED if it says RUNNING and nothing runs there.

    A store that is not there is left alone: the next run with it comes here again.
    """
    state = read_state(folder)
    if not state or is_running(folder):
        return
    try:
        check_reachable(state["uri"])
        with _environment(FIRST_CONTACT):
            client = MlflowClient(state["uri"])
            if client.get_run(state["run_id"]).info.status == "RUNNING":
                client.set_terminated(state["run_id"], "KILLED")
    except (MlflowException, OSError, ImportError, SQLAlchemyError):
        return
