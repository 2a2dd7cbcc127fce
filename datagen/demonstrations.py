"""Training rows that show what an answer looks like, made without any solver or gold answer.

A walk names one literal of each clause, a random one that contradicts none named before (any one
if all do): it teaches a model to look at the clauses. The rest are random assignments, which teach
the format of an answer and nothing about the right one.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.columns import assignment_texts, literal_texts
from datagen.config import DemonstrationConfig
from datagen.keys import key_words
from datagen.sat import SatBatch

PURPOSE = "demonstration"
"""Tells the keys of demonstrations from those of their problems."""


def demonstration_texts(
    batch: SatBatch, keys: Sequence[bytes], walk_N: NDArray[np.bool_], config: DemonstrationConfig
) -> pa.StringArray:
    """Return `per_problem` demonstrations of each problem [N * per_problem], problem by problem.

    Rows of `walk_N` get walks, the others random assignments of all variables, both in the compact
    style. `keys` are the problems' demonstration keys.
    """
    size, count = batch.size, config.per_problem
    words = key_words(keys, count * max(size.num_clauses, size.n)).reshape(len(keys), count, -1)
    repeated = np.repeat(walk_N, count)
    walks = walk_literals(batch.codes_NMK[walk_N], words[walk_N][:, :, : size.num_clauses], size.n)
    values = (words[~walk_N][:, :, : size.n] & 1).astype(np.bool_).reshape(-1, size.n)
    texts = pa.concat_arrays([literal_texts(walks, size.n), assignment_texts("compact", values)])
    order = np.empty(len(repeated), np.int64)
    order[repeated] = np.arange(len(walks))
    order[~repeated] = np.arange(len(walks), len(repeated))
    return texts.take(pa.array(order))


def walk_literals(
    codes_NMK: NDArray[np.uint16], words_NDM: NDArray[np.uint32], num_vars: int
) -> NDArray[np.uint16]:
    """Walk the clauses in order: one literal code of each, [N * D, M], for D walks a problem.

    A pick is uniform over the clause's literals that contradict no earlier pick, over all of them
    if each does.
    """
    num_walks, num_clauses = words_NDM.shape[1], words_NDM.shape[2]
    codes_RMK = np.repeat(codes_NMK, num_walks, axis=0)
    words_RM = words_NDM.reshape(-1, num_clauses)
    rows = np.arange(len(codes_RMK))
    picked = np.zeros((len(rows), 2 * num_vars), np.bool_)
    picks_RM = np.empty((len(rows), num_clauses), np.uint16)
    for clause in range(num_clauses):
        literals = codes_RMK[:, clause]
        allowed = ~picked[rows[:, None], literals ^ 1]
        allowed |= ~allowed.any(axis=1, keepdims=True)
        bound = allowed.sum(axis=1, dtype=np.uint64)
        rank = (words_RM[:, clause].astype(np.uint64) * bound) >> np.uint64(32)
        place = (np.cumsum(allowed, axis=1) > rank[:, None]).argmax(axis=1)
        pick = literals[rows, place]
        picked[rows, pick] = True
        picks_RM[:, clause] = pick
    return picks_RM
