"""The rows that are exported, problems and traces, and the two ways in which formats see them."""

import json
from dataclasses import dataclass
from typing import Any

from datagen.traces import Trace
from reward_fns.records import Problem

Row = Problem | Trace


@dataclass(frozen=True, slots=True)
class Example:
    """Any row as a prompt with an answer, after steps if there are any."""

    id: str
    prompt: str
    steps: tuple[str, ...]
    final_answer: str
    metadata: dict[str, Any]


def as_example(row: Row) -> Example:
    """See a row as an example; a problem has no steps, and its certified answer is the answer."""
    if isinstance(row, Trace):
        metadata = {"trace_version": row.trace_version, **(row.meta or {})}
        steps = tuple(step.content for step in row.steps)
        return Example(row.id, row.prompt, steps, row.final_answer, metadata)
    names = ("task", "split", "index", "difficulty")
    metadata = {name: getattr(row, name) for name in names}
    return Example(row.id, row.prompt, (), row.answer, metadata)


def as_problem(row: Row, format_name: str) -> Problem:
    """See a row as a problem that rewards can judge; ValueError for a trace."""
    if isinstance(row, Problem):
        return row
    raise ValueError(
        f"format {format_name!r} is for problems, and row {row.id!r} is a trace: "
        "choose trace, tunix_sft, training_example or jsonl"
    )


def env_payload(problem: Problem) -> dict[str, Any]:
    """Parse the env of a problem; ValueError names the row."""
    try:
        payload = json.loads(problem.env)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise ValueError(f"row {problem.id!r}: env is not a JSON object: {problem.env[:80]!r}")
    return payload


def reasoned_answer(example: Example) -> str:
    """Write the numbered steps, if there are any, and the answer."""
    lines = [f"{number}. {step}" for number, step in enumerate(example.steps, 1)]
    head = ["Reasoning:"] if lines else []
    return "\n".join([*head, *lines, f"Answer: {example.final_answer}"])
