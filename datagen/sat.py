"""Three families of random k-SAT: uniform, planted as upstream does, and planted without a bias.

A whole batch of one size is made at once from its items' keys. A literal is a code, 2*(v-1) for
variable v and one more for its negation. Letters: N problems, M clauses, K literals, V variables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.config import SizeConfig
from datagen.keys import key_digits, key_words

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
    *literals, forced = key_digits(keys, [*_literal_radices(size), size.k], size.num_clauses)
    codes = _codes(literals)
    solutions = _solutions(size, keys)
    place = np.arange(0, codes.size, size.k).reshape(forced.shape) + forced
    variables = codes.reshape(-1)[place] >> 1
    rows = np.arange(len(keys))[:, None]
    codes.reshape(-1)[place] = 2 * variables + ~solutions[rows, variables]
    return SatBatch(size, codes, solutions, np.ones(len(keys), np.bool_))


def q_hidden(size: SizeConfig, keys: Sequence[bytes]) -> SatBatch:
    """Planted so that no polarity points to the solution: a clause with t true literals weighs q^t.

    t is at least 1 and q = `unbiased_q(k)`, 0.618 for k = 3 (Jia, Moore and Strain, "Generating
    hard satisfiable formulas by hiding solutions deceptively", 2005).
    """
    k = size.k
    codes = _codes(key_digits(keys, _literal_radices(size), size.num_clauses))
    solutions = _solutions(size, keys)
    words = key_words([key + b"agree" for key in keys], size.num_clauses * k)
    words = words.reshape(codes.shape)
    rows = np.arange(len(keys))[:, None]
    satisfied = np.zeros(codes.shape[:2], np.bool_)
    q = unbiased_q(k)
    free = q / (1 + q)
    for j in range(k):
        # Coins of probability `free`, given that one of them at least falls on "true".
        first = 1 / (k - j) if free == 0 else free / (1 - (1 - free) ** (k - j))
        true = words[:, :, j] < np.where(satisfied, free * 2**32, first * 2**32)
        variables = codes[:, :, j] >> 1
        codes[:, :, j] = 2 * variables + (solutions[rows, variables] != true)
        satisfied |= true
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
    codes = _codes(key_digits(keys, _literal_radices(size), size.num_clauses))
    unknown = np.zeros((len(keys), size.n), np.bool_)
    return SatBatch(size, codes, unknown, np.zeros(len(keys), np.bool_))


FAMILIES: dict[str, Callable[[SizeConfig, Sequence[bytes]], SatBatch]] = {
    "uniform": uniform,
    "planted": planted,
    "q_hidden": q_hidden,
}


def _solutions(size: SizeConfig, keys: Sequence[bytes]) -> NDArray[np.bool_]:
    """A uniform assignment of each key, [N, V]: the key's own bits, or a stream of it if longer."""
    if size.n <= 64:
        bits = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)[:, -8:]
    else:
        bits = key_words([key + b"solution" for key in keys], -(-size.n // 32)).view(np.uint8)
    return np.unpackbits(bits, axis=1, count=size.n, bitorder="little").astype(np.bool_)


def _literal_radices(size: SizeConfig) -> list[int]:
    """A literal's digit tells its sign and its variable's rank among those not in the clause."""
    return [2 * (size.n - j) for j in range(size.k)]


def _codes(digits: Sequence[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    """Turn K literal digits [N, M] into literal codes of distinct variables, [N, M, K].

    A rank becomes a variable by stepping over those already taken, which are kept sorted; so the
    variables of a clause come in uniform order.
    """
    codes = np.empty((*digits[0].shape, len(digits)), np.uint16)
    taken: list[NDArray[np.uint16]] = []
    for j, digit in enumerate(digits):
        variable = (digit >> 1).astype(np.uint16)
        for other in taken:
            variable += variable >= other
        codes[:, :, j] = 2 * variable + (digit & 1)
        for i, other in enumerate(taken):
            taken[i], variable = np.minimum(other, variable), np.maximum(other, variable)
        taken.append(variable)
    return codes
