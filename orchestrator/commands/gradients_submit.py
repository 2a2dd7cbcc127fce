"""`clutch gradients submit sft|grpo --data URI --model REPO --hours H`: a task, submitted once."""

import json
import math
from functools import partial

from cyclopts import App

from datagen.formats.gradients import EXTRA_COLUMN, FIELD_PROMPT
from orchestrator.commands.gradients_flags import ApiFlags, TaskFlags, open_api
from orchestrator.gradients.api import Api
from orchestrator.gradients.checks import Checked, check_file
from orchestrator.gradients.data import Data, find_data
from orchestrator.gradients.models import GrpoRequest, SftRequest
from orchestrator.gradients.requests import data_identity, task_request
from orchestrator.gradients.rewards import Rewards, as_uuid
from orchestrator.gradients.tasks import CREATE, Submitted, Tasks
from orchestrator.storage.redaction import redact

UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
"""Stands in a dry run for the id of a function that is given by name."""

app = App(name="submit", help="Submit a training task, once.")


@app.command
def sft(
    *,
    task: TaskFlags,
    field_instruction: str = "prompt",
    field_output: str = "response",
    field_input: str | None = None,
    field_system: str | None = None,
    test_data: str | None = None,
    api: ApiFlags | None = None,
) -> None:
    """Train on instructions and outputs.

    Parameters
    ----------
    field_instruction
        Column of the prompts.
    field_output
        Column of the answers.
    field_input
        Column of a further input.
    field_system
        Column of the system prompts.
    test_data
        Data to test on, as --data; the platform takes a tenth of the data by default.
    """
    opened = None if task.dry_run else open_api(api)
    columns = {
        "field_instruction": field_instruction,
        "field_output": field_output,
        "field_input": field_input,
        "field_system": field_system,
    }
    named = [column for column in columns.values() if column]
    check = None if task.unchecked else partial(check_file, columns=named)
    data = find_data(task.data, check, task.presign_hours, only_look=task.dry_run)
    test = None
    if test_data is not None:
        test = find_data(test_data, None, task.presign_hours, only_look=task.dry_run)
    if "hf" in (data.file_format, test and test.file_format):
        raise ValueError("sft takes files: give s3://BUCKET/KEY or an https URL, not hf://")
    given = {**task.fields, **columns, "training_data": data.location}
    given["test_data"] = test.location if test else None
    identity = data_identity(training_data=data, test_data=test)
    request = task_request(SftRequest, given, task.name, identity)
    if opened is None:
        _print_request(request, task, data, api)
    else:
        _submit(opened, request, task, data)


@app.command
def grpo(
    *,
    task: TaskFlags,
    reward: tuple[str, ...] = (),
    field_prompt: str = FIELD_PROMPT,
    extra_column: str = EXTRA_COLUMN,
    api: ApiFlags | None = None,
) -> None:
    """Train on rewards.

    Parameters
    ----------
    reward
        A registered reward function by name or id, with its weight behind "=" (1 by default):
        --reward sat_reward_fn=0.5; may be given several times.
    field_prompt
        Column of the prompts.
    extra_column
        Column that reaches the reward functions as extra_data, JSON strings; "" for none.
    """
    wanted = [_weighted(text) for text in reward]
    if not wanted:
        raise ValueError("--reward is missing: see clutch gradients rewards list, or register one")
    opened = None if task.dry_run else open_api(api)
    check = None
    if not task.unchecked:
        check = partial(check_file, columns=[field_prompt], extra_column=extra_column or None)
    data = find_data(task.data, check, task.presign_hours, only_look=task.dry_run)
    if opened is None:
        known = [(name if as_uuid(name) else UNKNOWN_ID, weight) for name, weight in wanted]
        functions = [{"reward_id": name, "reward_weight": weight} for name, weight in known]
    else:
        chosen = Rewards(opened).weighted(wanted)
        functions = [function.model_dump(mode="json") for function in chosen]
    given = {
        **task.fields,
        "ds_repo": data.location,
        "file_format": data.file_format,
        "field_prompt": field_prompt,
        "extra_column": extra_column or None,
        "reward_functions": functions,
    }
    identity = {**data_identity(ds_repo=data), "reward_functions": wanted}
    request = task_request(GrpoRequest, given, task.name, identity)
    if opened is None:
        _print_request(request, task, data, api)
    else:
        _submit(opened, request, task, data)


def _weighted(text: str) -> tuple[str, float]:
    """Read NAME or NAME=WEIGHT."""
    name, equals, weight = text.partition("=")
    try:
        value = float(weight) if equals else 1.0
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"--reward {text}: the weight is no number of 0 or more: write NAME=0.5")
    return name.strip(), value


def _submit(opened: Api, request: SftRequest | GrpoRequest, task: TaskFlags, data: Data) -> None:
    done = Tasks(opened).submit(request)
    if task.json:
        shown = {"task_id": str(done.task_id), "created": done.created, "status": done.status}
        print(json.dumps({**shown, "result_model_name": request.result_model_name}))
        return
    print("\n".join([_told(done, request.result_model_name), *_notes(data.checked)]))
    print(f"next: clutch gradients status {done.task_id} --watch")


def _told(done: Submitted, name: str) -> str:
    if done.created:
        return f"task {done.task_id} is created: {name}"
    return (
        f"task {done.task_id} is there already ({done.status}), nothing was sent: {name}; "
        "for another one of the same, give a --name"
    )


def _print_request(
    request: SftRequest | GrpoRequest, task: TaskFlags, data: Data, api: ApiFlags | None
) -> None:
    """Print what would be sent; signatures of URLs are taken out, the key is not even read."""
    base_url = (api or ApiFlags()).settings().base_url
    method, url, payload = "POST", f"{base_url}{CREATE[type(request)]}", request.payload()
    headers = {"Authorization": "Bearer ***"}
    if task.json:
        shown = {"method": method, "url": url, "headers": headers, "json": payload}
        print(redact(json.dumps(shown)))
        return
    lines = [f"{method} {url}", *(f"{key}: {value}" for key, value in headers.items())]
    body = json.dumps(payload, indent=2)
    notes = [*_notes(data.checked), "dry run: nothing is sent"]
    if UNKNOWN_ID in body:
        notes.insert(0, f"{UNKNOWN_ID} stands for the id of a function that is given by name")
    print(redact("\n".join([*lines, body, *notes])))


def _notes(checked: Checked | None) -> list[str]:
    """What the user should know of the data."""
    if checked is None:
        return ["data: not checked"]
    lines = [f"data: {checked.num_rows:,} rows, {checked.num_bytes:,} bytes"]
    if count := checked.not_evaluable.total():
        causes = ", ".join(f"{n:,} {why}" for why, n in checked.not_evaluable.most_common(3))
        lines.append(
            f"abd_reward_fn scores 0 for {count:,} of {checked.num_abd:,} ABD rows, whose programs "
            f"need what it does not know: {causes}"
        )
    return lines
