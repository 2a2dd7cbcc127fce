"""Writes the texts of a whole batch at once, equal to those of `styles.py`.

Every text of a batch is a sequence of words from a list (a few literals of a clause with the
separator before them), so taking the words by number concatenates all texts; only the rows'
boundaries are then set anew. Letters: N problems, M clauses, K literals, G words a clause.
"""

from functools import lru_cache
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from datagen.sat import SatBatch
from datagen.styles import AFFINE_HEAD, AFFINE_TAIL, COMPACT_END, COMPACT_WALK, UNSAT

MAX_WORDS = 1 << 14
"""As many literals make a word as give at most so many words."""


def prompt_and_env(
    batch: SatBatch, style: str, walk_N: NDArray[np.bool_] | None = None
) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the prompts and the envs of a batch; compact prompts of `walk_N` rows end in walk."""
    n, k = batch.size.n, batch.size.k
    places, end = _numbered(batch.codes_NMK, n)
    places[:, -1] = end if walk_N is None else end + walk_N
    prompts = _joined(_prompt_words(style, n, k), places)
    places[:, -1] = end + ~batch.satisfiable_N
    return prompts, _joined(_env_words(n, k), places)


def assignment_texts(style: str, values_NV: NDArray[np.bool_]) -> pa.StringArray:
    """Return the texts of assignments [N, V]."""
    num_vars = values_NV.shape[1]
    places = np.arange(0, 2 * num_vars, 2, dtype=np.int32) + ~values_NV
    return _joined(_assignment_words(style, num_vars), places)


def answer_texts(batch: SatBatch, style: str) -> pa.StringArray:
    """Return the certified answers of a batch: its solutions, `UNSAT` where there is none."""
    answers = assignment_texts(style, batch.solutions_NV)
    if batch.satisfiable_N.all():
        return answers
    return pc.if_else(pa.array(batch.satisfiable_N), answers, UNSAT)


def literal_texts(codes_NL: NDArray[np.uint16], num_vars: int) -> pa.StringArray:
    """Return sequences of literals [N, L] in the compact style, separated by blanks."""
    places = codes_NL.astype(np.int32)
    places[:, 1:] += 2 * num_vars
    return _joined(_spaced_literals(num_vars), places)


def _word_lengths(n: int, k: int) -> list[int]:
    """How a clause's K literals are cut into words: as long as there are few different ones."""
    longest = 1
    while longest < k and (2 * n) ** (longest + 1) <= MAX_WORDS:
        longest += 1
    whole, rest = divmod(k, longest)
    return [longest] * whole + [rest] * (rest > 0)


def _opens_table(lengths: list[int], group: int) -> bool:
    """Whether a clause's word needs other words than the one before it."""
    return group < 2 or lengths[group] != lengths[group - 1]


def _numbered(codes_NMK: NDArray[np.uint16], n: int) -> tuple[NDArray[np.int32], int]:
    """Numbers of each formula's words in the list of `_words`, [N, M*G + 1], and of its first end.

    The last column is left for the caller to fill.
    """
    num_rows, num_clauses, k = codes_NMK.shape
    lengths = _word_lengths(n, k)
    places = np.empty((num_rows, num_clauses * len(lengths) + 1), np.int32)
    places_NMG = places[:, :-1].reshape(num_rows, num_clauses, len(lengths))
    start, table, end = 0, 0, 0
    for group, length in enumerate(lengths):
        if _opens_table(lengths, group):
            table, end = end, end + (2 * n) ** length
        number = codes_NMK[:, :, start].astype(np.int32)
        for j in range(start + 1, start + length):
            number = number * np.int32(2 * n) + codes_NMK[:, :, j]
        places_NMG[:, :, group] = number + table
        start += length
    places[:, 0] += end
    return places, end + (2 * n) ** lengths[0]


def _words(literals: list[str], k: int, separators: tuple[str, str, str]) -> list[str]:
    """All words of a formula: a clause's first, its later ones, then the formula's first.

    `separators` stand before the formula, between clauses and between literals.
    """
    before, between, inside = separators
    lengths = _word_lengths(len(literals) // 2, k)
    words = []
    for group, length in enumerate(lengths):
        if _opens_table(lengths, group):
            separator = inside if group else between
            words += [separator + inside.join(word) for word in product(literals, repeat=length)]
    return words + [before + inside.join(word) for word in product(literals, repeat=lengths[0])]


def _joined(words: pa.StringArray, places: NDArray[np.int32]) -> pa.StringArray:
    """Concatenate the words at `places` [N, P] to one text a row."""
    taken = words.take(pa.array(places.ravel()))
    _, starts, data = taken.buffers()
    offsets = np.frombuffer(starts, np.int32, len(taken) + 1)[:: places.shape[1]]
    return pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets.copy()), data)


@lru_cache(maxsize=64)
def _prompt_words(style: str, n: int, k: int) -> pa.StringArray:
    """The words of prompts of one size, and then their possible ends."""
    if style == "compact":
        words = _words(_compact_literals(n), k, ("", " ; ", " "))
        return pa.array([*words, COMPACT_END, COMPACT_WALK])
    literals = [text for v in range(1, n + 1) for text in (f"x{v}", f"¬x{v}")]
    head = AFFINE_HEAD.format(k=k, n=n)
    return pa.array([*_words(literals, k, (f"{head}\n(", ") ∧ (", " ∨ ")), f")\n{AFFINE_TAIL}"])


@lru_cache(maxsize=64)
def _env_words(n: int, k: int) -> pa.StringArray:
    """The words of envs of one size, and then the ends of satisfiable and unsatisfiable ones."""
    literals = [text for v in range(1, n + 1) for text in (f"{v}", f"-{v}")]
    head = f'{{"num_vars":{n},"k":{k},"clauses":[['
    ends = [f']],"satisfiable":{value}}}' for value in ("true", "false")]
    return pa.array([*_words(literals, k, (head, "],[", ",")), *ends])


@lru_cache(maxsize=64)
def _assignment_words(style: str, n: int) -> pa.StringArray:
    """The words of assignments, separators in front: true and false for each variable."""
    if style == "compact":
        separator, literals = " ", _compact_literals(n)
    else:
        separator = ", "
        literals = [f"x{v}={value}" for v in range(1, n + 1) for value in ("True", "False")]
    return pa.array(literals[:2] + [separator + literal for literal in literals[2:]])


@lru_cache(maxsize=64)
def _spaced_literals(n: int) -> pa.StringArray:
    """The literals in the compact style, bare and then with a blank before them."""
    literals = _compact_literals(n)
    return pa.array([*literals, *(" " + literal for literal in literals)])


def _compact_literals(n: int) -> list[str]:
    return [text for v in range(1, n + 1) for text in (f"+{v}", f"-{v}")]
