"""Checks a command's arguments against a config model, with mistakes told as the flag's own."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.config import check_config
from orchestrator.yaml_source import Document, Place

Checked = TypeVar("Checked", bound=BaseModel)


def config_from(
    model: type[Checked], data: Mapping[str, Any], *, flags: Mapping[str, str] | None = None
) -> Checked:
    """Build a config from a command's arguments; `flags` names those called otherwise.

    Raises ConfigError that begins with the flag, as `--num-samples: num_samples is 0: ...`.
    """
    document = Document("arguments", dict(data))
    for key in data:
        flag = (flags or {}).get(key, key).replace("_", "-")
        document.values[(key,)] = document.keys[(key,)] = Place(f"--{flag}")
    return check_config(model, document)
