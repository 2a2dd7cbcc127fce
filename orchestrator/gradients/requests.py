"""Makes requests for tasks from a command's arguments, each with the name it is found again by."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from orchestrator.commands.arguments import config_from
from orchestrator.gradients.data import Data
from orchestrator.gradients.models import GrpoRequest, SftRequest

Request = TypeVar("Request", SftRequest, GrpoRequest)
FLAGS = {
    "model_repo": "model",
    "hours_to_complete": "hours",
    "result_model_name": "name",
    "training_data": "data",
    "ds_repo": "data",
    "reward_functions": "reward",
}
"""Options that are not called as the request's fields."""


def task_request(
    kind: type[Request], given: Mapping[str, Any], name: str | None, identity: Mapping[str, Any]
) -> Request:
    """Return a request, named after what it asks for where no name is given.

    The same arguments for the same data give the same name, which is how a task that is there
    already is recognised. `identity` is what stands for fields that differ each time. Raises
    ValueError that begins with the option.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    if name is None:
        text = json.dumps(
            {"kind": kind.__name__, **chosen, **identity}, sort_keys=True, default=str
        )
        name = f"clutch-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return config_from(kind, {**chosen, "result_model_name": name}, flags=FLAGS)


def data_identity(**data: Data | None) -> dict[str, str]:
    """Return what stands for the data of a request, by field."""
    return {name: each.identity for name, each in data.items() if each is not None}
