"""A reasoning trace: a prompt, the steps of an answer to it, and the final answer.

Bounds are those of Tunix RT's traces, so that every trace of ours can be read there.
"""

from typing import Any

from pydantic import Field, model_validator

from datagen.manifest import Record, canonical_hash

MAX_TRACE_BYTES = 1 << 20


class Step(Record):
    """One step: its number, what kind of step it is, and its text."""

    i: int = Field(ge=0)
    type: str = Field(min_length=1, max_length=64)
    content: str = Field(min_length=1, max_length=20_000)


class Trace(Record):
    """One trace; without an id it gets one from its content, the same wherever it is read."""

    id: str = Field("", max_length=128)
    trace_version: str = Field("1.0", min_length=1, max_length=64)
    prompt: str = Field(min_length=1, max_length=50_000)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=1000)
    final_answer: str = Field(min_length=1, max_length=50_000)
    meta: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Trace":
        numbers = [step.i for step in self.steps]
        if len(set(numbers)) < len(numbers):
            twice = next(i for i in numbers if numbers.count(i) > 1)
            raise ValueError(f"steps have the number {twice} twice: number each step once")
        content = self.model_dump(mode="json", exclude={"id"})
        if (size := len(self.model_dump_json(exclude={"id"}))) > MAX_TRACE_BYTES:
            raise ValueError(f"trace has {size:,} bytes: at most {MAX_TRACE_BYTES:,} are allowed")
        if not self.id:
            object.__setattr__(self, "id", f"trace:{canonical_hash(content)[:32]}")
        return self
