"""Turns drawn problems into the rows of a dataset, as Arrow tables."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.columns import answer_texts, prompt_and_env
from datagen.config import DemonstrationConfig, SatConfig
from datagen.demonstrations import PURPOSE, demonstration_texts
from datagen.draw import KIND, Drawn
from datagen.keys import item_keys, key_fraction
from datagen.manifest import SCHEMA
from datagen.sat import TASK
from datagen.styles import difficulty_text


def split_table(config: SatConfig, split: str, seed: int, drawn: Sequence[Drawn]) -> pa.Table:
    """Return a chunk's rows, problems or demonstrations as the split has them."""
    demonstrations = config.split_configs[split].demonstrations
    if demonstrations:
        return demonstration_table(drawn, split, seed, demonstrations)
    return problem_table(drawn, split, seed, config.style)


def problem_table(drawn: Sequence[Drawn], split: str, seed: int, style: str) -> pa.Table:
    """Return a chunk's problems with their certified answers, in order of their indices."""
    tables = []
    for group in drawn:
        prompts, envs = prompt_and_env(group.batch, style)
        texts = (prompts, answer_texts(group.batch, style), envs)
        tables.append(_rows(group, split, _ids(group, split, seed), group.indices, *texts))
    return _in_order(tables, [group.places for group in drawn])


def demonstration_table(
    drawn: Sequence[Drawn], split: str, seed: int, config: DemonstrationConfig
) -> pa.Table:
    """Return a chunk's demonstrations, those of a problem side by side."""
    tables, places = [], []
    count = config.per_problem
    for group in drawn:
        walk_N = key_fraction(group.keys, KIND) < config.walk_fraction
        keys = item_keys(TASK, split, seed, group.indices.tolist(), PURPOSE)
        answers = demonstration_texts(group.batch, keys, walk_N, config)
        repeated = pa.array(np.repeat(np.arange(len(walk_N)), count))
        prompts, envs = (
            column.take(repeated) for column in prompt_and_env(group.batch, "compact", walk_N)
        )
        ids = [f"{name}:{i}" for name in _ids(group, split, seed) for i in range(count)]
        indices = np.repeat(group.indices, count)
        tables.append(_rows(group, split, ids, indices, prompts, answers, envs))
        places.append((group.places[:, None] * count + np.arange(count)).ravel())
    return _in_order(tables, places)


def _ids(group: Drawn, split: str, seed: int) -> list[str]:
    """`task:split:seed:index` of each problem, and `~attempt` where it was redrawn."""
    head = f"{TASK}:{split}:{seed}:"
    if not group.attempts.any():
        return [f"{head}{index}" for index in group.indices.tolist()]
    pairs = zip(group.indices.tolist(), group.attempts.tolist(), strict=True)
    return [f"{head}{i}~{attempt}" if attempt else f"{head}{i}" for i, attempt in pairs]


def _rows(
    group: Drawn,
    split: str,
    ids: list[str],
    indices: NDArray[np.int64],
    prompts: pa.StringArray,
    answers: pa.StringArray,
    envs: pa.StringArray,
) -> pa.Table:
    """A table of rows of one size."""
    size, count = group.batch.size, len(ids)
    difficulty = pa.repeat(difficulty_text(size.n, size.k, size.num_clauses), count)
    task, splits = pa.repeat(TASK, count), pa.repeat(split, count)
    columns = [pa.array(ids), task, splits, pa.array(indices), prompts, answers, envs, difficulty]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _in_order(tables: list[pa.Table], places: list[NDArray[np.int64]]) -> pa.Table:
    """Put the rows of several tables at their places."""
    if len(tables) == 1:
        return tables[0]
    order = np.argsort(np.concatenate(places))
    return pa.concat_tables(tables).combine_chunks().take(pa.array(order))
