"""`affine_grpo`: Affine's GRPO data, a JSON array of prompts with their envs.

Its `env` holds an object beside a boolean, which few readers can type: in `affine_grpo_string` it
is a JSON string.
"""

from typing import Any

from datagen.formats.affine_env import affine_env
from datagen.formats.containers import json_text, write_json_array
from datagen.formats.format import JSON_TYPE, Format
from datagen.formats.rows import Row, as_problem

STEM = "synthetic_dataset_%Y%m%d_%H%M%S"


def record(row: Row) -> dict[str, Any]:
    """Return `{prompt, env: {sat, abd}}`, one of which is false."""
    problem = as_problem(row, "affine_grpo")
    return {"prompt": problem.prompt, "env": affine_env(problem, "affine_grpo")}


def string_record(row: Row) -> dict[str, Any]:
    """Return the same with the env as a JSON string."""
    problem = as_problem(row, "affine_grpo_string")
    env = affine_env(problem, "affine_grpo_string")
    return {"prompt": problem.prompt, "env": json_text(env)}


FORMAT = Format(
    "affine_grpo", "Affine's GRPO data", ".json", JSON_TYPE, record, write_json_array, STEM
)
STRING_FORMAT = Format(
    "affine_grpo_string",
    "Affine's GRPO data, env as a JSON string",
    ".json",
    JSON_TYPE,
    string_record,
    write_json_array,
    STEM,
)
