"""Three families of random k-SAT: uniform, planted as upstream does, and planted without a bias.

A whole batch of one size is made at once from its items' keys. A literal is a code, 2*(v-1) for
variable v and one more for its negation. Letters: N problems, M clauses, K literals, V variables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.config import SizeConfig
from datagen.keys import below, key_words

TASK = "sat"


@dataclass(frozen=True, slots=True)
class SatBatch:
    """Problems of one size: `codes_NMK` literal codes, `solutions_NV` booleans, `satisfiable_N`.

    The solution of an unsatisfiable problem is meaningless.
    """

    size: SizeConfig
    codes_NMK: NDArray[np.uint16]
    solutions_NV: NDArray[np.bool_]
    satisfiable_N: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.codes_NMK)

    def clauses(self, row: int) -> list[list[int]]:
        """The clauses of one problem as signed literals."""
        codes = self.codes_NMK[row].astype(np.int64)
        return ((codes // 2 + 1) * (1 - 2 * (codes % 2))).tolist()


def planted(size: SizeConfig, keys: Sequence[bytes]) -> SatBatch:
    """Upstream's distribution: one literal of a clause is forced to be true, the others are coins.

    Which one is forced is uniform; duplicate clauses are possible. A literal is true with
    probability 1/2 + 1/(2k), so counting signs solves most problems: see `q_hidden`.
    """
    words, solutions = _words_and_solutions(size, keys, size.k + 1)
    variables = _distinct(words[:, :, : size.k], size.n)
    agreeing = below(words[:, :, size.k], size.k)
    codes = np.empty((*words.shape[:2], size.k), np.uint16)
    rows = np.arange(len(keys))[:, None]
    false_NV = (~solutions).astype(np.uint16)
    forced = np.empty(words.shape[:2], np.uint16)
    for j, variable in enumerate(variables):
        codes[:, :, j] = 2 * variable + (words[:, :, j] & 1)
        forced[agreeing == j] = variable[agreeing == j]
    np.put_along_axis(
        codes,
        agreeing[:, :, None].astype(np.int64),
        (2 * forced + false_NV[rows, forced])[:, :, None],
        axis=2,
    )
    return SatBatch(size, codes, solutions, np.ones(len(keys), np.bool_))


def q_hidden(size: SizeConfig, keys: Sequence[bytes]) -> SatBatch:
    """Planted so that no polarity points to the solution: a clause with t true literals weighs q^t.

    t is at least 1 and q = `unbiased_q(k)`, 0.618 for k = 3 (Jia, Moore and Strain, "Generating
    hard satisfiable formulas by hiding solutions deceptively", 2005).
    """
    k = size.k
    words, solutions = _words_and_solutions(size, keys, 2 * k)
    variables = _distinct(words[:, :, :k], size.n)
    codes = np.empty((*words.shape[:2], k), np.uint16)
    rows = np.arange(len(keys))[:, None]
    satisfied = np.zeros(words.shape[:2], np.bool_)
    q = unbiased_q(k)
    free = q / (1 + q)
    for j, variable in enumerate(variables):
        # Coins of probability `free`, given that one of them at least falls on "agrees".
        first = 1 / (k - j) if free == 0 else free / (1 - (1 - free) ** (k - j))
        bound = np.where(satisfied, free * 2**32, first * 2**32)
        agrees = words[:, :, k + j] < bound
        codes[:, :, j] = 2 * variable + (solutions[rows, variable] != agrees)
        satisfied |= agrees
    return SatBatch(size, codes, solutions, np.ones(len(keys), np.bool_))


def unbiased_q(k: int) -> float:
    """Return q in [0, 1) with (1 - q)(1 + q)^(k-1) = 1, at which literals carry no bias; k >= 2.

    It is where the mean of (true - false literals) over the weights C(k, t) q^t, t >= 1, is 0.
    """
    low, high = (0.0, 1.0) if k == 2 else (1e-9, 1.0)
    for _ in range(100):
        middle = (low + high) / 2
        if (1 - middle) * (1 + middle) ** (k - 1) > 1:
            low = middle
        else:
            high = middle
    return low


def uniform(size: SizeConfig, keys: Sequence[bytes]) -> SatBatch:
    """Uniform random k-SAT; whether a problem has a solution is not known yet."""
    words, _ = _words_and_solutions(size, keys, size.k)
    codes = np.stack(
        [2 * v + (words[:, :, j] & 1) for j, v in enumerate(_distinct(words, size.n))], axis=2
    )
    unknown = np.zeros((len(keys), size.n), np.bool_)
    return SatBatch(size, codes.astype(np.uint16), unknown, np.zeros(len(keys), np.bool_))


FAMILIES: dict[str, Callable[[SizeConfig, Sequence[bytes]], SatBatch]] = {
    "uniform": uniform,
    "planted": planted,
    "q_hidden": q_hidden,
}


def _words_and_solutions(
    size: SizeConfig, keys: Sequence[bytes], words_per_clause: int
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Random words [N, M, words_per_clause], and a uniform assignment [N, V]."""
    num_clauses, solution_words = size.num_clauses, -(-size.n // 32)
    words = key_words(keys, solution_words + num_clauses * words_per_clause)
    bits = words[:, :solution_words].copy().view(np.uint8)
    solutions = np.unpackbits(bits, axis=1, count=size.n, bitorder="little").astype(np.bool_)
    return words[:, solution_words:].reshape(len(keys), num_clauses, words_per_clause), solutions


def _distinct(words: NDArray[np.uint32], n: int) -> list[NDArray[np.uint16]]:
    """Draw distinct variables 0..n-1 in uniform order: one [N, M] array for each of the K words.

    The j-th draw is a rank among the n - j variables that are left; it becomes a variable by
    stepping over those already taken, which are kept sorted.
    """
    chosen: list[NDArray[np.uint16]] = []
    taken: list[NDArray[np.uint16]] = []
    for j in range(words.shape[2]):
        variable = below(words[:, :, j], n - j).astype(np.uint16)
        for other in taken:
            variable += variable >= other
        chosen.append(variable)
        rest = variable
        for i, other in enumerate(taken):
            taken[i], rest = np.minimum(other, rest), np.maximum(other, rest)
        taken.append(rest)
    return chosen
