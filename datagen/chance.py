"""What a split's problems are worth without solving them: the baselines a model has to beat.

All-True, a uniformly random assignment, and majority polarity (each variable as most of its
literals have it, True at a tie). A satisfying assignment is the only success counted, so that each
scores 0 on unsatisfiable problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datagen.keys import key_words

MAX_PROBLEMS = 4096
"""Only the first so many problems of a split are measured."""

MAX_COUNTED = 10
"""Up to so many variables all assignments are counted; beyond, 64 random ones are tried."""


@dataclass(slots=True)
class Chance:
    """Sums over the problems of a split; `random` adds probabilities, exact or of 64 samples."""

    num_problems: int = 0
    num_unsat: int = 0
    method: str = "exact"
    """`sampled` once `random` holds 64 samples a problem for some, in place of a count of all."""
    sums: dict[str, float] = field(
        default_factory=lambda: {"all_true": 0.0, "random": 0.0, "majority": 0.0}
    )

    def add(
        self,
        codes_NMK: NDArray[np.uint16],
        num_vars: int,
        satisfiable_N: NDArray[np.bool_],
        keys: Sequence[bytes],
        majority_NV: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add problems of one size; their keys seed the random assignments, where needed.

        Problems beyond the split's first MAX_PROBLEMS are passed over.
        Give `majority_NV` where clauses were padded with repeated literals, which would be counted.
        """
        room = MAX_PROBLEMS - self.num_problems
        codes_NMK, satisfiable_N, keys = codes_NMK[:room], satisfiable_N[:room], keys[:room]
        if not len(codes_NMK):
            return
        self.num_problems += len(codes_NMK)
        self.num_unsat += int((~satisfiable_N).sum())
        self.method = "sampled" if num_vars > MAX_COUNTED else self.method
        for name, values in measures(codes_NMK, num_vars, keys, majority_NV).items():
            self.sums[name] += float(values.sum())

    def rates(self) -> dict[str, float]:
        """The mean of each baseline, and of answering UNSAT where some problem has no solution."""
        rates = {name: round(total / self.num_problems, 6) for name, total in self.sums.items()}
        if self.num_unsat:
            rates["always_unsat"] = round(self.num_unsat / self.num_problems, 6)
        return rates


def measures(
    codes_NMK: NDArray[np.uint16],
    num_vars: int,
    keys: Sequence[bytes],
    majority_NV: NDArray[np.bool_] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return each baseline's success on each problem [N], in 1024ths, whose sums are exact."""
    if majority_NV is None:
        majority_NV = majority_polarity(codes_NMK, num_vars)
    if num_vars <= MAX_COUNTED:
        random = solution_counts(codes_NMK, num_vars) / 2**num_vars
    else:
        random = sampled_solutions(codes_NMK, num_vars, keys) / 64
    return {
        "all_true": _hold(codes_NMK, np.arange(2 * num_vars) % 2 == 0).astype(np.float64),
        "random": random,
        "majority": _hold_each(codes_NMK, _both(majority_NV, ~majority_NV)).astype(np.float64),
    }


def majority_polarity(codes_NMK: NDArray[np.uint16], num_vars: int) -> NDArray[np.bool_]:
    """Return [N, V]: whether at least half of a variable's literals are positive."""
    num_rows = len(codes_NMK)
    flat = codes_NMK.reshape(num_rows, -1) + np.arange(num_rows)[:, None] * (2 * num_vars)
    counts = np.bincount(flat.ravel(), minlength=num_rows * 2 * num_vars)
    counts = counts.reshape(num_rows, num_vars, 2)
    return counts[:, :, 0] >= counts[:, :, 1]


def solution_counts(codes_NMK: NDArray[np.uint16], num_vars: int) -> NDArray[np.int64]:
    """Count the satisfying assignments of each problem [N] by trying all 2^num_vars of them.

    64 assignments at a time: bit b of word w is assignment 64 w + b, in which variable v is true
    iff bit v-1 is set.
    """
    assignments = np.arange(max(64, 2**num_vars), dtype=np.uint64)
    bits = (assignments >> np.arange(num_vars, dtype=np.uint64)[:, None]) & np.uint64(1)
    words = np.packbits(bits.astype(np.bool_), axis=1, bitorder="little").view("<u8")
    used = np.uint64(2 ** min(2**num_vars, 64) - 1)
    counts = np.zeros(len(codes_NMK), np.int64)
    for word in words.T:
        holds = _hold(codes_NMK, _both(word, ~word))
        counts += np.bitwise_count(holds & used)
    return counts


def sampled_solutions(
    codes_NMK: NDArray[np.uint16], num_vars: int, keys: Sequence[bytes]
) -> NDArray[np.uint8]:
    """Count how many of 64 random assignments, keyed by problem, satisfy each problem [N]."""
    words = key_words([key + b"chance" for key in keys], 2 * num_vars).view("<u8")
    return np.bitwise_count(_hold_each(codes_NMK, _both(words, ~words)))


def _both(true: NDArray, false: NDArray) -> NDArray:
    """Interleave the values of positive and of negative literals, in the order of their codes."""
    return np.stack([true, false], axis=-1).reshape(*true.shape[:-1], -1)


def _hold_each(codes_NMK: NDArray[np.uint16], values_NL: NDArray) -> NDArray:
    """AND over clauses of OR over literals, with values of each problem's own literals."""
    offsets = np.arange(len(codes_NMK))[:, None, None] * values_NL.shape[1]
    return _hold(codes_NMK + offsets, values_NL.ravel())


def _hold(codes_NMK: NDArray, values_L: NDArray) -> NDArray:
    """AND over clauses of OR over literals, bit by bit, [N]."""
    clauses = values_L.take(codes_NMK[:, :, 0])
    for k in range(1, codes_NMK.shape[2]):
        clauses |= values_L.take(codes_NMK[:, :, k])
    return np.bitwise_and.reduce(clauses, axis=1)
