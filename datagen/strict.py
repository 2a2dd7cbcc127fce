"""The base of all configs of datasets, and paths as people write them."""

import os
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def at_home(path: str) -> str:
    """Return a path whose `~` is the home folder; ValueError for the home of nobody."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ValueError(f"{path}: there is no such home folder: write ./{path} for a file")
    return expanded


UserPath = Annotated[str, Field(min_length=1), AfterValidator(at_home)]
"""A path; `~` is the home folder."""


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know, and numbers that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )
