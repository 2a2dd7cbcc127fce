"""`clutch gradients`: training tasks on the Gradients platform, and their reward functions."""

import datetime
import json as json_module
from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter
from cyclopts.types import PositiveFloat

from orchestrator.commands.gradients_flags import ApiFlags, open_api
from orchestrator.gradients.models import Task
from orchestrator.gradients.tasks import Tasks
from orchestrator.shown_text import visible
from orchestrator.storage.redaction import redact

app = App(name="gradients", help="Train on the Gradients platform.")
app.command(
    "orchestrator.commands.gradients_submit:app", name="submit", help="Submit a task, once."
)
app.command(
    "orchestrator.commands.gradients_rewards:app",
    name="rewards",
    help="Export, register and list reward functions.",
)
COLUMNS = ("id", "created", "status", "type", "model", "result")


@app.command
def status(
    task_id: UUID,
    /,
    *,
    watch: bool = False,
    interval_s: Annotated[PositiveFloat, Parameter()] = 30.0,
    max_hours: PositiveFloat = 72.0,
    json: bool = False,
    api: ApiFlags | None = None,
) -> None:
    """Show a task.

    Parameters
    ----------
    task_id
        The task.
    watch
        Print each change until it is finished; a task that fails ends with exit code 1.
    interval_s
        Seconds between two looks.
    max_hours
        Hours after which watching ends, with exit code 1.
    json
        Print JSON, one object a line.
    """
    tasks = Tasks(open_api(api))
    seen = tasks.watch(task_id, interval_s, 3600 * max_hours) if watch else [tasks.get(task_id)]
    for task in seen:
        print(_as_json(task) if json else _line(task), flush=True)


@app.command(name="list")
def list_tasks(*, json: bool = False, api: ApiFlags | None = None) -> None:
    """List the account's tasks.

    Parameters
    ----------
    json
        Print one JSON list.
    """
    tasks = Tasks(open_api(api)).all()
    if json:
        print(f"[{', '.join(map(_as_json, tasks))}]")
        return
    rows = [COLUMNS, *map(_cells, tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


@app.command
def cancel(task_id: UUID, /, *, api: ApiFlags | None = None) -> None:
    """Remove a task.

    Parameters
    ----------
    task_id
        The task.
    """
    Tasks(open_api(api)).cancel(task_id)
    print(f"task {task_id} is removed")


def _as_json(task: Task) -> str:
    return redact(json_module.dumps(task.model_dump(mode="json")))


def _line(task: Task) -> str:
    now = datetime.datetime.now().strftime("%H:%M:%S")
    parts = [f"{now} {task.id} {task.status}", *_details(task)]
    return _plain(", ".join(parts))


def _details(task: Task) -> list[str]:
    found = [
        ("type", task.task_type),
        ("model", task.base_model_repository),
        ("trained", task.trained_model_repository or task.result_model_name),
        ("started", task.started_at and task.started_at.isoformat(" ", "seconds")),
        ("finished", task.finished_at and task.finished_at.isoformat(" ", "seconds")),
    ]
    return [f"{name} {value}" for name, value in found if value]


def _cells(task: Task) -> tuple[str, ...]:
    created = task.created_at.isoformat(" ", "seconds") if task.created_at else "-"
    kind, model = task.task_type or "-", task.base_model_repository or "-"
    result = task.trained_model_repository or task.result_model_name or "-"
    return tuple(map(_plain, (str(task.id), created, task.status, kind, model, result)))


def _plain(text: str) -> str:
    """What a service said, on one line, with nothing hidden in it and no secret."""
    return redact(visible(text).replace("\n", " ").replace("\t", " "))
