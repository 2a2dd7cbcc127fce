"""`gradients`: a GRPO task's file for the Gradients platform.

The platform calls str() on every value, so what the reward functions read is a JSON string, in the
column `extra_data`; it refuses files of fewer than 2,000 rows or of 2 GiB.
"""

from typing import Any

from datagen.formats.affine_env import program_and_output
from datagen.formats.containers import json_text, write_json_array
from datagen.formats.format import JSON_TYPE, Format
from datagen.formats.rows import Row, as_problem, env_payload
from reward_fns.formulas import parse_env
from reward_fns.records import Problem

FIELD_PROMPT, EXTRA_COLUMN = "prompt", "extra_data"
"""What a task's `field_prompt` and `extra_column` are to say."""

MIN_ROWS, MAX_BYTES = 2000, 2_147_483_645


def record(row: Row) -> dict[str, Any]:
    """Return `{prompt, extra_data}`."""
    problem = as_problem(row, "gradients")
    return {FIELD_PROMPT: problem.prompt, EXTRA_COLUMN: json_text(extra_data(problem))}


def extra_data(problem: Problem) -> dict[str, Any]:
    """Return what Affine's reward functions there read, and what strict ones need beside it."""
    if problem.task != "sat":
        return {"task_type": "ABD", **program_and_output(problem, "gradients")}
    parse_env(problem.env)
    env = env_payload(problem)
    kept = {name: env[name] for name in ("num_vars", "satisfiable")}
    return {"task_type": "SAT", "cls": env["clauses"], **kept}


FORMAT = Format(
    "gradients",
    "a GRPO task of Gradients",
    ".json",
    JSON_TYPE,
    record,
    write_json_array,
    min_rows=MIN_ROWS,
    max_bytes=MAX_BYTES,
)
