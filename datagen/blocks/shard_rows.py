"""Cuts a split into shards, and reads the rows of one out of the blocks that hold them.

A split is written chunk by chunk, each a row group, and a full shard ends in the middle of one: so
a shard is known by the chunk in which it begins, and the rows of that chunk to pass over.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.blocks.files import read_facts, read_rows, rows_path, settled_path
from datagen.blocks.plan import BlockPlan, DrawBlock, Shard
from datagen.interleave import RowStream, interleaved, task_order
from datagen.manifest import file_sha256


def cut_shards(plan: BlockPlan, split: str) -> list[Shard]:
    """Return the shards of a split; of several tasks, whose order has been written before."""
    tasks = plan.tasks_of(split)
    each = np.array([plan.makers[task].rows_each(split) for task in tasks])
    counts = [plan.makers[task].num_problems(split) for task in tasks]
    chunk, total = plan.chunk_problems(split), sum(counts)
    before = np.zeros(len(tasks), np.int64)
    num_rows, left = 0, int(np.dot(counts, each))
    shards: list[Shard] = []
    for problem in range(0, total, chunk):
        own = _task_counts(plan, split, problem, min(problem + chunk, total))
        end = num_rows + int(np.dot(own, each))
        while left and (first := len(shards) * plan.config.shard_rows) < end:
            size = min(plan.config.shard_rows, left)
            skip, left = first - num_rows, left - size
            known = tuple(before.tolist())
            shards.append(Shard(split, len(shards), problem, skip, size, known))
        num_rows, before = end, before + own
    return shards


def write_order(plan: BlockPlan, split: str) -> None:
    """Write the order of a split's tasks, where there are several."""
    tasks = plan.tasks_of(split)
    if len(tasks) > 1:
        counts = [plan.makers[task].num_problems(split) for task in tasks]
        np.save(plan.order_path(split), task_order(split, plan.seed, counts))


def shard_tables(plan: BlockPlan, shard: Shard) -> Iterator[pa.Table]:
    """Yield the rows of a shard, each table a row group."""
    tasks, chunk = plan.tasks_of(shard.split), plan.chunk_problems(shard.split)
    each = [plan.makers[task].rows_each(shard.split) for task in tasks]
    streams = [
        RowStream(_task_rows(plan, task, shard.split, first))
        for task, first in zip(tasks, shard.before, strict=True)
    ]
    problem, skip, left = shard.problem, shard.skip, shard.num_rows
    total = sum(plan.makers[task].num_problems(shard.split) for task in tasks)
    while left:
        stop = min(problem + chunk, total)
        if len(tasks) > 1:
            table = interleaved(_order(plan, shard.split)[problem:stop], streams, each, problem)
        else:
            table = streams[0].take((stop - problem) * each[0])
        table = table.slice(skip, left).combine_chunks()
        yield table
        problem, skip, left = stop, 0, left - len(table)


def _order(plan: BlockPlan, split: str) -> NDArray[np.int8]:
    order: NDArray[np.int8] = np.load(plan.order_path(split), mmap_mode="r")
    return order


def _task_counts(plan: BlockPlan, split: str, start: int, stop: int) -> NDArray[np.int64]:
    """How many problems of each task lie in a range."""
    tasks = plan.tasks_of(split)
    if len(tasks) == 1:
        return np.array([stop - start])
    return np.bincount(_order(plan, split)[start:stop], minlength=len(tasks))


def _task_rows(plan: BlockPlan, task: str, split: str, first: int) -> Iterator[pa.Table]:
    """The rows of a task's problems from `first` on, those drawn again in place of the first."""
    each = plan.makers[task].rows_each(split)
    for block in plan.blocks(task, split, first):
        _check_rows(plan, block)
        skip = max(0, first - block.start) * each
        patches = settled_path(plan.stem(block))
        tables = read_rows(rows_path(plan.stem(block)), skip)
        if not patches.is_file():
            yield from tables
            continue
        patch = pa.concat_tables(read_rows(patches)).combine_chunks()
        yield from (_patched(table, patch) for table in tables)


def _patched(table: pa.Table, patch: pa.Table) -> pa.Table:
    """Put the rows of a patch in place of those with the same indices; both are in order."""
    own = table.column("index").to_numpy()
    new = patch.column("index").to_numpy()
    start, stop = np.searchsorted(new, [own[0], own[-1] + 1])
    if start == stop:
        return table
    new = new[start:stop]
    # The n-th row of a problem stands n places behind its first one, in both.
    ranks = np.arange(len(new)) - np.searchsorted(new, new)
    order = np.arange(len(own))
    order[np.searchsorted(own, new) + ranks] = len(own) + np.arange(len(new))
    both = pa.concat_tables([table, patch.slice(start, stop - start)]).combine_chunks()
    return both.take(pa.array(order))


def _check_rows(plan: BlockPlan, block: DrawBlock) -> None:
    """Refuse rows that are not what was written."""
    stem = plan.stem(block)
    if file_sha256(rows_path(stem)) != read_facts(stem).rows_sha256:
        raise ValueError(
            f"{rows_path(stem)} has changed since it was written: remove {plan.work} and start over"
        )
