"""Every format by name: a new one is one new file and one line here."""

from datagen.formats import (
    affine_grpo,
    affine_sft,
    gradients,
    jsonl,
    trace,
    training_example,
    trl,
    tunix_sft,
    verl,
)
from datagen.formats.format import Format

FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        trace.FORMAT,
        tunix_sft.FORMAT,
        training_example.FORMAT,
        affine_grpo.FORMAT,
        affine_grpo.STRING_FORMAT,
        affine_sft.FORMAT,
        gradients.FORMAT,
        trl.FORMAT,
        verl.FORMAT,
        jsonl.FORMAT,
    )
}


def get_format(name: str) -> Format:
    """Return the format of that name; ValueError lists those there are."""
    try:
        return FORMATS[name]
    except KeyError:
        known = ", ".join(FORMATS)
        raise ValueError(f"format {name!r} is unknown: use one of {known}") from None
