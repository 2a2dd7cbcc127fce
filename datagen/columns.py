"""Writes the texts of a whole batch at once, equal to those of `styles.py`.

Every text of a batch is a sequence of words from a short list (a literal with its separator), so
taking the words by number concatenates all texts; only the rows' boundaries are then set anew.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.config import SizeConfig
from datagen.sat import SatBatch
from datagen.styles import AFFINE_HEAD, AFFINE_TAIL, COMPACT_END, COMPACT_WALK, UNSAT


def prompt_and_env(
    batch: SatBatch, style: str, walk_N: NDArray[np.bool_] | None = None
) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the prompts and the envs of a batch; compact prompts of `walk_N` rows end in walk."""
    size = batch.size
    places = _numbered(batch.codes_NMK, size)
    count = places.shape[1]
    last = places[:, -1]
    places[:, -1] = 6 * size.n
    if walk_N is not None:
        last += walk_N
    prompts = _joined(_prompt_words(style, size.n, size.k), places, count)
    last[:] = 6 * size.n + ~batch.satisfiable_N
    return prompts, _joined(_env_words(size.n, size.k), places, count)


def assignment_texts(style: str, values_NV: NDArray[np.bool_]) -> pa.StringArray:
    """Return the texts of assignments [N, V]."""
    num_vars = values_NV.shape[1]
    places = np.arange(0, 2 * num_vars, 2, dtype=np.uint16) + ~values_NV
    return _joined(_assignment_words(style, num_vars), places, num_vars)


def answer_texts(batch: SatBatch, style: str) -> pa.StringArray:
    """Return the certified answers of a batch: its solutions, `UNSAT` where there is none."""
    answers = assignment_texts(style, batch.solutions_NV)
    if batch.satisfiable_N.all():
        return answers
    return pa.compute.if_else(pa.array(batch.satisfiable_N), answers, UNSAT)


def literal_texts(codes_NL: NDArray[np.uint16], num_vars: int) -> pa.StringArray:
    """Return sequences of literals [N, L] in the compact style, separated by blanks."""
    places = codes_NL.astype(np.uint16)
    places[:, 1:] += np.uint16(2 * num_vars)
    literals = _compact_literals(num_vars)
    words = pa.array([*literals, *(" " + literal for literal in literals)])
    return _joined(words, places, codes_NL.shape[1])


def _numbered(codes_NMK: NDArray[np.uint16], size: SizeConfig) -> NDArray[np.uint16]:
    """Word numbers [N, M*K + 1]: the formula's first literal, a clause's first, others, the end."""
    num_rows = len(codes_NMK)
    offsets = np.full((size.num_clauses, size.k), 4 * size.n, np.uint16)
    offsets[:, 0] = 2 * size.n
    offsets[0, 0] = 0
    places = np.empty((num_rows, size.num_clauses * size.k + 1), np.uint16)
    np.add(codes_NMK.reshape(num_rows, -1), offsets.ravel(), out=places[:, :-1])
    return places


def _joined(words: pa.StringArray, places: NDArray[np.uint16], per_row: int) -> pa.StringArray:
    """Concatenate the words at `places` [N, per_row] to one text a row."""
    if len(words) <= 256:
        places = places.astype(np.uint8)  # narrow indices are gathered several times faster
    taken = words.take(pa.array(np.ascontiguousarray(places).ravel()))
    _, starts, data = taken.buffers()
    offsets = np.frombuffer(starts, np.int32, len(taken) + 1)[::per_row]
    return pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets.copy()), data)


@lru_cache(maxsize=256)
def _prompt_words(style: str, n: int, k: int) -> pa.StringArray:
    """The words of prompts of one size: 2n literals in three places, then the possible ends."""
    if style == "compact":
        literals, between, inside = _compact_literals(n), " ; ", " "
        head, ends = "", [COMPACT_END, COMPACT_WALK]
    else:
        literals = [text for v in range(1, n + 1) for text in (f"x{v}", f"¬x{v}")]
        head, between, inside = AFFINE_HEAD.format(k=k, n=n) + "\n(", ") ∧ (", " ∨ "
        ends = [f")\n{AFFINE_TAIL}"]
    return _words(literals, head, between, inside, ends)


@lru_cache(maxsize=256)
def _env_words(n: int, k: int) -> pa.StringArray:
    """The words of envs of one size; the ends are those of satisfiable and unsatisfiable ones."""
    literals = [text for v in range(1, n + 1) for text in (f"{v}", f"-{v}")]
    head = f'{{"num_vars":{n},"k":{k},"clauses":[['
    ends = [f']],"satisfiable":{value}}}' for value in ("true", "false")]
    return _words(literals, head, "],[", ",", ends)


@lru_cache(maxsize=256)
def _assignment_words(style: str, n: int) -> pa.StringArray:
    """The words of assignments, separators in front: true and false for each variable."""
    if style == "compact":
        texts = [(" " if i > 1 else "") + text for i, text in enumerate(_compact_literals(n))]
        return pa.array(texts)
    return pa.array(
        [
            f"{', ' if v > 1 else ''}x{v}={value}"
            for v in range(1, n + 1)
            for value in ("True", "False")
        ]
    )


def _words(
    literals: Sequence[str], head: str, between: str, inside: str, ends: Sequence[str]
) -> pa.StringArray:
    """Literals after each of the three separators, then the ends."""
    return pa.array(
        [before + literal for before in (head, between, inside) for literal in literals]
        + list(ends)
    )


def _compact_literals(n: int) -> list[str]:
    return [text for v in range(1, n + 1) for text in (f"+{v}", f"-{v}")]
