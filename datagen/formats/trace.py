"""`trace`: Tunix RT's export of a trace, with its steps as a list of texts."""

from typing import Any

from datagen.formats.containers import write_jsonl
from datagen.formats.format import JSONL_TYPE, Format
from datagen.formats.rows import Row, as_example


def record(row: Row) -> dict[str, Any]:
    """Return `{id, prompts, trace_steps, final_answer, metadata}`."""
    example = as_example(row)
    return {
        "id": example.id,
        "prompts": example.prompt,
        "trace_steps": list(example.steps),
        "final_answer": example.final_answer,
        "metadata": example.metadata,
    }


FORMAT = Format("trace", "Tunix RT's traces", ".jsonl", JSONL_TYPE, record, write_jsonl)
