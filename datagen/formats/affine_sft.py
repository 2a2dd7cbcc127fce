"""`affine_sft`: Affine's SFT data, a JSON array of answers with what they were worth.

A row that was made from a recorded evaluation gets that record back. Any other has its answer
scored now, by the reward of its task.
"""

import json
from typing import Any

from datagen.formats.containers import write_json_array
from datagen.formats.format import JSON_TYPE, Format
from datagen.formats.rows import Row, as_problem
from reward_fns.records import Problem
from reward_fns.registry import score

EVALUATION = "evaluation"
"""Key of `difficulty` under which rows of recorded evaluations keep the record."""

STEM = "affine_data_%Y%m%d_%H%M%S"
CERTIFIED_MODEL = "clutch-certified"
"""Stands for the model of answers that come with a problem; their miner is -1."""

_RECORDED = (
    "environment",
    "score",
    "miner_uid",
    "response_success",
    "response_latency",
    "challenge_id",
)


def record(row: Row) -> dict[str, Any]:
    """Return upstream's record: prompt, model, response, environment, score and five more."""
    problem = as_problem(row, "affine_sft")
    evaluation = json.loads(problem.difficulty).get(EVALUATION) or _scored(problem)
    head = {"prompt": problem.prompt, "model": evaluation["model"], "response": problem.answer}
    return head | {name: evaluation[name] for name in _RECORDED}


def _scored(problem: Problem) -> dict[str, Any]:
    """The evaluation of a problem's own answer."""
    value = score(problem.task, problem.task, problem.answer, problem.env).value
    if value is None:
        raise ValueError(f"row {problem.id!r}: its answer could not be scored: try again")
    return {
        "model": CERTIFIED_MODEL,
        "environment": problem.task.upper(),
        "score": value,
        "miner_uid": -1,
        "response_success": True,
        "response_latency": 0.0,
        "challenge_id": problem.id,
    }


FORMAT = Format(
    "affine_sft", "Affine's SFT data", ".json", JSON_TYPE, record, write_json_array, STEM
)
