"""Every sampled completion of a run, one JSON line each, with an index for paging.

Beside `<name>.jsonl` lies `<name>.idx`: for each line the offset of its end, newline included, as
a little-endian uint64. Readers page through millions of lines without a scan.
"""

import json
import math
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainers.journal import (
    CHAIN_BYTES,
    AppendFile,
    ChainedLine,
    Journal,
    is_line_end,
    read_chained,
)

INDEX_DTYPE = np.dtype("<u8")
SCAN_BYTES = 1 << 24
quote = json.encoder.encode_basestring_ascii


class Rollout(NamedTuple):
    """One sampled completion and what became of it."""

    step: int
    problem_id: str
    sample: int
    """Number of the completion among those of its problem in this step."""
    text: str
    token_ids: list[int]
    sampler_logprobs: list[float]
    """float32 values, written with nine digits, which give them back exactly as float32."""
    reward: float | None
    reason: str
    advantage: float | None
    policy_step: int
    """Optimizer steps that the sampling policy had seen."""


class RolloutLog(Journal):
    """A journal of rollouts with an offset index."""

    def __init__(self, path: Path) -> None:
        """Open for appending; an index that does not fit the file is made again from it."""
        self._ends = array("Q")
        super().__init__(path)
        self._index = AppendFile(index_path(path))
        content = np.asarray(self._ends, dtype=INDEX_DTYPE).tobytes()
        del self._ends
        if index_path(path).read_bytes() != content:
            self._index.cut(0)
            self._index.write(content)
            self._index.flush()

    def _opened_with(self, line: ChainedLine) -> None:
        super()._opened_with(line)
        self._ends.append(line.end)

    @property
    def num_lines(self) -> int:
        """Rollouts in the log."""
        return self._index.offset // INDEX_DTYPE.itemsize

    def append_rollouts(self, rollouts: Iterable[Rollout]) -> None:
        """Append rollouts, by hand-made formatting: a run writes hundreds of thousands of them.

        Raises ValueError for NaN and infinity; then none of the rollouts is appended.
        """
        bodies = [_rollout_body(rollout).encode("ascii") for rollout in rollouts]
        sizes = np.array([len(body) + CHAIN_BYTES for body in bodies], dtype=INDEX_DTYPE)
        ends = np.cumsum(sizes, dtype=INDEX_DTYPE) + INDEX_DTYPE.type(self.offset)
        self._append(bodies)
        self._index.write(ends.astype(INDEX_DTYPE).tobytes())

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows with the keys of a Rollout."""
        self.append_rollouts(Rollout(**row) for row in rows)

    def flush(self) -> None:
        """Make all rollouts visible to readers, the lines before their index. Raises SaveError."""
        super().flush()
        self._index.flush()

    def sync(self) -> None:
        """Make all rollouts survive a power loss. Raises SaveError."""
        super().sync()
        self._index.sync()

    def truncate(self, offset: int) -> None:
        """Cut lines and index back to an offset saved earlier; ValueError as in Journal."""
        super().truncate(offset)
        self._index.flush()
        ends = np.fromfile(index_path(self.path), dtype=INDEX_DTYPE)
        num_lines = int(np.searchsorted(ends, offset, side="right"))
        self._index.cut(num_lines * INDEX_DTYPE.itemsize)

    def close(self) -> None:
        """Flush and close both files."""
        super().close()
        self._index.close()


def index_path(path: Path) -> Path:
    """Return the place of a rollout log's index."""
    return path.with_suffix(".idx")


def read_rollouts(path: Path, start: int, count: int) -> list[dict[str, Any]]:
    """Read `count` rollouts from number `start` on, fewer where the log ends.

    Works while the log is written to, and, by a scan, where its index is missing, short or wrong.
    Raises DamageError naming a line whose bytes were changed; only those that are returned and the
    one before them are looked at.
    """
    size = path.stat().st_size
    ends = _read_index(path, size)
    if start + count > len(ends):
        ends = _repair(ends, path, size)
    lines = _page(path, ends, start, count)
    if len(lines) != max(0, min(count, len(ends) - start)):
        lines = _page(path, _repair(ends[:0], path, size), start, count)
    return [line.row for line in lines]


def _page(path: Path, ends: np.ndarray, start: int, count: int) -> list[ChainedLine]:
    """Return some lines, checked; fewer than asked for where `ends` are not the ends of lines."""
    chosen = ends[start : start + count]
    if not len(chosen):
        return []
    begin = int(ends[start - 1]) if start else 0
    if not is_line_end(path, begin) or not is_line_end(path, int(chosen[-1])):
        return []
    return list(read_chained(path, begin, int(chosen[-1]), start + 1))


def _rollout_body(rollout: Rollout) -> str:
    step, problem_id, sample, text, token_ids, logprobs, reward, reason, advantage, seen = rollout
    ids = ("%d," * len(token_ids) % tuple(token_ids))[:-1]
    numbers = ("%.9g," * len(logprobs) % tuple(logprobs))[:-1]
    if "n" in numbers:  # of "nan" or "inf"
        raise ValueError(f"rollout of problem {problem_id}, step {step}: log-probs {numbers}")
    return (
        f'{{"step":{step},"problem_id":{quote(problem_id)},"sample":{sample},"text":{quote(text)},'
        f'"token_ids":[{ids}],"sampler_logprobs":[{numbers}],"reward":{_number(reward)},'
        f'"reason":{quote(reason)},"advantage":{_number(advantage)},"policy_step":{seen}'
    )


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    if not math.isfinite(value):
        raise ValueError(f"a rollout's reward or advantage is {value}: it must be finite")
    return repr(float(value))


def _read_index(path: Path, size: int) -> np.ndarray:
    """Return the ends of lines that the index knows, of a log of `size` bytes."""
    try:
        content = index_path(path).read_bytes()
    except FileNotFoundError:
        return np.empty(0, dtype=INDEX_DTYPE)
    whole = len(content) - len(content) % INDEX_DTYPE.itemsize
    ends = np.frombuffer(content[:whole], dtype=INDEX_DTYPE)
    beyond = np.flatnonzero(ends > size)
    return ends[: beyond[0]] if len(beyond) else ends


def _repair(ends: np.ndarray, path: Path, size: int) -> np.ndarray:
    """Return `ends` with those of the lines after them; from the start if they are not ends."""
    with path.open("rb") as file:
        known = int(ends[-1]) if len(ends) else 0
        file.seek(max(known - 1, 0))
        if known and (file.read(1) != b"\n" or bool(np.any(ends[1:] <= ends[:-1]))):
            ends, known = ends[:0], 0
        file.seek(known)
        found = [ends]
        while known < size and (block := file.read(min(SCAN_BYTES, size - known))):
            newlines = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
            found.append((newlines + known + 1).astype(INDEX_DTYPE))
            known += len(block)
    return np.concatenate(found)
