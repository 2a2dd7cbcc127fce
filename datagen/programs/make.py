"""Writes a program of a level: it reads, computes step by step, and prints what is left."""

from datagen.programs import (  # noqa: F401  (each registers its steps)
    function_steps,
    list_steps,
    loop_steps,
    number_steps,
    table_steps,
    text_steps,
)
from datagen.programs.knobs import Knobs, Level
from datagen.programs.micro import micro_program
from datagen.programs.printers import print_rest
from datagen.programs.readers import read
from datagen.programs.scope import Builder, Draft
from datagen.programs.steps import STEPS, Step
from datagen.stream import Stream

MAX_STEPS = 40
STEPS_OF: dict[str, tuple[Step, ...]] = {
    level: tuple(step for step in STEPS if level in step.levels)
    for level in ("easy", "medium", "hard")
}


def make_program(level: Level, knobs: Knobs, key: bytes) -> Draft:
    """Return the program of a key."""
    if level == "micro":
        return micro_program(knobs, Stream(key))
    return written(level, knobs, key).draft()


def written(level: str, knobs: Knobs, key: bytes) -> Builder:
    """Write the program of a key, of another level than micro."""
    stream = Stream(key)
    builder = Builder(stream, knobs)
    num_inputs = stream.between(max(1, (knobs.inputs + 1) // 2), knobs.inputs)
    for _ in range(num_inputs):
        read(builder, level)
    for _ in range(MAX_STEPS):
        if builder.num_lines + len(builder.fresh) >= knobs.lines and _all_used(builder):
            break
        _go_on(builder, level)
    print_rest(builder)
    return builder


def _go_on(builder: Builder, level: str) -> None:
    """Write one step that fits what there is."""
    variable = builder.find()
    fitting = [
        step
        for step in STEPS_OF[level]
        if variable.kind in step.needs and step.depth <= builder.knobs.depth
    ]
    new = [step for step in fitting if step.write.__name__ not in builder.steps]
    chosen = new or fitting
    if chosen:
        step = chosen[builder.stream.weighted([step.weight for step in chosen])]
        builder.steps.add(step.write.__name__)
        step.write(builder, variable)


def _all_used(builder: Builder) -> bool:
    """Whether something was computed from every input."""
    return not any(variable in builder.read for variable in builder.fresh)
