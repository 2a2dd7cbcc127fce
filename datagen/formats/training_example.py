"""`training_example`: Tunix RT's prompt and response, with an id that does not change."""

from typing import Any

from datagen.formats.containers import write_jsonl
from datagen.formats.format import JSONL_TYPE, Format
from datagen.formats.rows import Row, as_example, reasoned_answer

INSTRUCTION = "Please show your reasoning steps."


def record(row: Row) -> dict[str, Any]:
    """Return `{id, prompt, response, metadata}`; a row without steps is not asked to show any."""
    example = as_example(row)
    asked = f"{example.prompt}\n\n{INSTRUCTION}" if example.steps else example.prompt
    return {
        "id": example.id,
        "prompt": asked,
        "response": reasoned_answer(example),
        "metadata": {"source_trace_id": example.id, **example.metadata},
    }


FORMAT = Format(
    "training_example", "prompt and response for SFT", ".jsonl", JSONL_TYPE, record, write_jsonl
)
