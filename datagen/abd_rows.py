"""Turns drawn ABD problems into the rows of a dataset, as Arrow tables."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import pyarrow as pa

from datagen.abd import TASK
from datagen.abd_config import RunDemonstrationConfig
from datagen.abd_draw import AbdDraw, Item, Problem
from datagen.abd_runs import Job, run_jobs
from datagen.abd_styles import (
    affine_prompt,
    answer_text,
    compact_output,
    compact_prompt,
    compact_run_prompt,
    compact_words,
    difficulty_text,
    env_text,
)
from datagen.keys import item_key
from datagen.manifest import SCHEMA
from datagen.programs.inputs import draw_input
from datagen.stream import Stream

Row = tuple[str, str, str, int, str, str, str, str]
"""Values of the columns of a dataset, in their order."""


def drawn_table(draw: AbdDraw, split: str, items: Sequence[Item]) -> pa.Table:
    """Return a chunk's rows: its problems with their certified answers, or demonstrations."""
    config = draw.splits[split]
    if config.demonstrations:
        return rows_table(_demonstrations(draw, split, items, config.demonstrations))
    style = draw.problems.style
    return rows_table(_gold(style, split, draw.seed, item) for item in items)


def rows_table(rows: Iterable[Row]) -> pa.Table:
    """Return rows as a table."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _gold(style: str, split: str, seed: int, item: Item) -> Row:
    problem = _problem(item)
    prompt = ask_prompt(style, problem)
    answer = answer_text(style, problem.stdin)
    return _row(split, seed, item, "", prompt, answer)


def ask_prompt(style: str, problem: Problem) -> str:
    """Write the prompt that asks for an input of a problem."""
    if style == "compact":
        words, output = compact_words(problem.draft.text), compact_output(problem.output)
        assert words is not None and output is not None
        return compact_prompt(words, output)
    return affine_prompt(problem.draft.text, problem.output, problem.example)


def _demonstrations(
    draw: AbdDraw, split: str, items: Sequence[Item], config: RunDemonstrationConfig
) -> list[Row]:
    """The demonstrations of a chunk, those of a problem side by side.

    A run shows what the program prints on a random input; where an abduction problem asks for just
    that, or it cannot be written, the problem's own input stands in, which no other problem asks
    for. The other rows answer the problem by random inputs, right or wrong.
    """
    streams = [
        Stream(item_key(TASK, split, draw.seed, item.index, "demonstration")) for item in items
    ]
    runs = [stream.chance(config.run_fraction) for stream in streams]
    inputs = [
        tuple(draw_input(_problem(item).draft.shape, stream) for _ in range(config.per_problem))
        for item, stream in zip(items, streams, strict=True)
    ]
    jobs = [
        Job(_problem(item).draft.text, own)
        for item, own, run in zip(items, inputs, runs, strict=True)
        if run
    ]
    most = draw.problems.max_io_chars + 1
    outputs = iter(run_jobs(jobs, draw.problems.limits.sandbox, most))
    rows = []
    for item, own, run in zip(items, inputs, runs, strict=True):
        if run:
            pairs = _runs(draw, split, _problem(item), own, next(outputs))
        else:
            prompt = ask_prompt(draw.problems.style, _problem(item))
            pairs = [(prompt, answer_text(draw.problems.style, stdin)) for stdin in own]
        rows += [
            _row(split, draw.seed, item, f":{number}", prompt, answer)
            for number, (prompt, answer) in enumerate(pairs)
        ]
    return rows


def _runs(
    draw: AbdDraw,
    split: str,
    problem: Problem,
    inputs: Sequence[str],
    outputs: Sequence[str | None],
) -> list[tuple[str, str]]:
    """Prompts and answers of a program's runs."""
    program = compact_words(problem.draft.text)
    own = compact_output(problem.output)
    assert program is not None and own is not None
    pairs = []
    for stdin, output in zip(inputs, outputs, strict=False):
        words = None if output is None else compact_output(output)
        if words is None or not draw.is_free(split, problem.draft, output or ""):
            stdin, words = problem.stdin, own
        pairs.append((compact_run_prompt(program, stdin), words))
    return pairs


def _row(split: str, seed: int, item: Item, suffix: str, prompt: str, answer: str) -> Row:
    problem = _problem(item)
    attempt = f"~{problem.attempt}" if problem.attempt else ""
    return (
        f"{TASK}:{split}:{seed}:{item.index}{attempt}{suffix}",
        TASK,
        split,
        item.index,
        prompt,
        answer,
        env_text(problem.draft.text, problem.output),
        difficulty_text(item.level.label, asdict(item.level.knobs)),
    )


def _problem(item: Item) -> Problem:
    assert item.problem is not None
    return item.problem
