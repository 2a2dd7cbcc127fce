"""Traces: bounds as in Tunix RT, and ids that come from the content."""

import pytest
from pydantic import ValidationError

from datagen.traces import Trace
from tests.export_rows import trace_row


def changed(**fields):
    return trace_row(1).model_dump() | fields


def test_equal_traces_have_equal_ids_and_given_ids_are_kept():
    assert trace_row(1).id == trace_row(1).id != trace_row(2).id
    assert trace_row(1).id.startswith("trace:")
    assert Trace.model_validate(changed(id="mine")).id == "mine"
    assert Trace.model_validate(trace_row(1).model_dump()) == trace_row(1)


def step(i=0, content="c"):
    return {"i": i, "type": "t", "content": content}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "p" * 50_001}, "prompt"),
        ({"final_answer": ""}, "final_answer"),
        ({"steps": []}, "steps"),
        ({"steps": [step(i) for i in range(1001)]}, "steps"),
        ({"steps": [step(-1)]}, r"steps\.0\.i"),
        ({"steps": [step(content="c" * 20_001)]}, r"steps\.0\.content"),
        ({"steps": [step(3), step(3)]}, "number 3 twice"),
        ({"trace_version": "v" * 65}, "trace_version"),
        ({"meta": {"big": "m" * 1_048_577}}, "at most 1,048,576"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_tunix_would_refuse_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Trace.model_validate(changed(**fields))
