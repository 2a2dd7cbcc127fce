"""Puts the problems of several tasks into one split, in an order that is a keyed shuffle.

The order of a split is a permutation keyed by (split, seed), so that it depends on nothing else.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.keys import item_keys, key_words
from datagen.manifest import SCHEMA

CHUNK_PROBLEMS = 4096
"""Problems that are put in order, and written as one row group, at a time."""
STEP = 1 << 20


class RowStream:
    """Rows in order, taken so many at a time."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self._rest = SCHEMA.empty_table()

    def take(self, count: int) -> pa.Table:
        """Return the next `count` rows."""
        parts, missing = [self._rest], count - len(self._rest)
        while missing > 0:
            parts.append(next(self._tables))
            missing -= len(parts[-1])
        table = pa.concat_tables(parts)
        self._rest = table.slice(count)
        return table.slice(0, count)


def task_order(split: str, seed: int, counts: Sequence[int]) -> NDArray[np.int8]:
    """Return the number of the task of each problem: a keyed shuffle of so many of each.

    Each place has a random word; those with the least words are the first task's, and so on.
    """
    total = sum(counts)
    words = key_words(item_keys("mix", split, seed, [0]), 2 * total).view("<u8")[0]
    order = np.zeros(total, np.int8)
    for bound in np.cumsum(counts)[:-1].tolist():
        word, num_equal = _ranked(words, bound)
        for start in range(0, total, STEP):
            part = words[start : start + STEP]
            above = part > word
            equal = np.flatnonzero(part == word)
            above[equal[num_equal:]] = True  # of equal words the first come first
            num_equal -= min(num_equal, len(equal))
            order[start : start + STEP] += above
    return order


def interleaved(
    chunk: NDArray[np.int8], readers: Sequence[RowStream], rows_each: Sequence[int], start: int
) -> pa.Table:
    """The next rows of each task in the order of `chunk`; `index` becomes the problem's in all."""
    tables, places, problems = [], [], []
    lengths = np.array(rows_each)[chunk]
    begins = np.cumsum(lengths) - lengths
    for task, (reader, each) in enumerate(zip(readers, rows_each, strict=True)):
        own = np.flatnonzero(chunk == task)
        tables.append(reader.take(len(own) * each))
        places.append((begins[own][:, None] + np.arange(each)).ravel())
        problems.append(np.repeat(own + start, each))
    order = np.argsort(np.concatenate(places))
    table = pa.concat_tables(tables).combine_chunks().take(pa.array(order))
    indices = pa.array(np.concatenate(problems)[order])
    return table.set_column(table.schema.get_field_index("index"), "index", indices)


def _ranked(words: NDArray[np.uint64], rank: int) -> tuple[np.uint64, int]:
    """The largest of the `rank` least words, and how many of them equal it; sorts few of them."""
    if rank == 0:
        return np.uint64(0), 0
    shift, counts = np.uint64(48), np.zeros(1 << 16, np.int64)
    for start in range(0, len(words), STEP):
        tops = (words[start : start + STEP] >> shift).astype(np.int64)
        counts += np.bincount(tops, minlength=1 << 16)
    ends = np.cumsum(counts)
    top = int(np.searchsorted(ends, rank))
    below = int(ends[top] - counts[top])
    parts = [words[start : start + STEP] for start in range(0, len(words), STEP)]
    same = np.sort(np.concatenate([part[part >> shift == top] for part in parts]))
    word = same[rank - below - 1]
    return word, rank - below - int(np.searchsorted(same, word))
