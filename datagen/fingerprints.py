"""Tells whether two problems are the same formula up to the order of clauses and of literals.

A fingerprint is a sum over clauses of a mix of a sum over literals, so order cannot matter: equal
formulas always have equal fingerprints. Different ones have equal 64-bit fingerprints by chance
only, which costs a redraw and nothing else.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def fingerprints(codes_NMK: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Return the fingerprint of each problem [N]; codes are 2*(v-1), +1 if negated."""
    table = _mix(np.arange(int(codes_NMK.max()) + 1, dtype=np.uint64))
    clauses = table.take(codes_NMK[:, :, 0])
    for k in range(1, codes_NMK.shape[2]):
        clauses += table.take(codes_NMK[:, :, k])
    return _mix(clauses).sum(axis=1, dtype=np.uint64)


def formula_fingerprint(clauses: Sequence[Sequence[int]]) -> int:
    """Return the fingerprint of one formula of signed literals; clauses may differ in length."""
    total = np.uint64(0)
    with np.errstate(over="ignore"):
        for clause in clauses:
            codes = np.array([2 * abs(x) - 2 + (x < 0) for x in clause], np.uint64)
            total += _mix(_mix(codes).sum(dtype=np.uint64, keepdims=True))[0]
    return int(total)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood, 2014), element by element."""
    values = (values + np.uint64(1)) * _STEP
    for multiplier, shift in zip(_MULTIPLIERS, (30, 27), strict=True):
        values = (values ^ (values >> np.uint64(shift))) * multiplier
    return values ^ (values >> np.uint64(31))
