"""`tunix_sft`: Tunix RT's text for SFT, a whole dialogue in Gemma's chat template."""

from typing import Any

from datagen.formats.containers import write_jsonl
from datagen.formats.format import JSONL_TYPE, Format
from datagen.formats.rows import Example, Row, as_example, reasoned_answer


def gemma_dialogue(example: Example) -> str:
    """Write the user's turn and the model's, which reasons in numbered steps and answers."""
    return (
        f"<start_of_turn>user\n{example.prompt}<end_of_turn>\n"
        f"<start_of_turn>model\n{reasoned_answer(example)}<end_of_turn>"
    )


def record(row: Row) -> dict[str, Any]:
    """Return `{id, prompts, final_answer, metadata}`; `prompts` is the dialogue."""
    example = as_example(row)
    return {
        "id": example.id,
        "prompts": gemma_dialogue(example),
        "final_answer": example.final_answer,
        "metadata": {**example.metadata, "format": "tunix_sft"},
    }


FORMAT = Format(
    "tunix_sft", "Tunix's SFT, Gemma template", ".jsonl", JSONL_TYPE, record, write_jsonl
)
