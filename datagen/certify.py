"""Certifies a dataset by its own bytes, without anything that its maker knew.

    certificate = certify(folder)

Gold answers score 1 through the reward functions and wrong ones 0, no problem occurs twice, none in
two splits, and every row becomes a record of the formats that train on it. Rows of demonstrations
have no certified answer: they are not scored. A dataset is looked at in pieces, wherever `each` has
that done; what is kept of a row is eight bytes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datagen.certify_rows import check_formats, check_scores, problem_marks
from datagen.manifest import SCHEMA, Manifest, verify_dataset
from reward_fns.records import Problem

PIECE_ROWS, BATCH_ROWS = 32_768, 1024
MAX_TOLD = 5
"""Failures that are told in full."""


class NotCertified(RuntimeError):
    """A dataset holds what it must not; the message tells the first rows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some row groups of a shard: the rows to certify at a time."""

    path: Path
    split: str
    row_groups: tuple[int, ...]
    num_rows: int
    formats: tuple[str, ...]
    scored: bool
    """Whether its answers are certified ones."""


@dataclass(slots=True)
class Findings:
    """What was seen in a piece."""

    counts: Counter[str] = field(default_factory=Counter)
    """Rows by task, and what was done with them."""
    failures: list[str] = field(default_factory=list)
    """The first few."""
    marks: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """One for each problem."""


Each = Callable[[Sequence[Piece]], Iterable[tuple[Piece, Findings]]]
"""Looks at pieces, in any order."""


def certify(folder: Path, formats: Sequence[str], each: Each | None = None) -> Counter[str]:
    """Check every row of a dataset; return what was counted.

    Raises NotCertified with the first failures, and ValueError for bytes that have changed.
    """
    manifest = verify_dataset(folder)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    marks: dict[str, list[NDArray[np.uint64]]] = {split: [] for split in manifest.splits}
    for piece, findings in (each or _here)(cut_pieces(folder, manifest, formats)):
        counts.update(findings.counts)
        failures += findings.failures
        marks[piece.split].append(findings.marks)
    failures += _repeated(marks)
    if failures:
        more = f"; {len(failures) - MAX_TOLD:,} more" if len(failures) > MAX_TOLD else ""
        raise NotCertified(f"{folder} is not certified: {'; '.join(failures[:MAX_TOLD])}{more}")
    return counts


def cut_pieces(folder: Path, manifest: Manifest, formats: Sequence[str]) -> list[Piece]:
    """Return a dataset in pieces."""
    return [
        Piece(folder / shard.file, split, groups, num_rows, tuple(formats), scored)
        for split, info in manifest.splits.items()
        for scored in (not _demonstrates(manifest.config, split),)
        for shard in info.shards
        for groups, num_rows in _row_groups(folder / shard.file)
    ]


def look_at(piece: Piece) -> Findings:
    """Check the rows of a piece, a few at a time."""
    findings = Findings()
    marks = []
    for rows in _batches(piece):
        findings.counts.update(f"{row.task} rows" for row in rows)
        failures = check_formats(rows, piece.formats if piece.scored else ())
        if piece.scored:
            failures += check_scores(rows, findings.counts)
        # Of a problem's demonstrations the first one stands for all.
        marks.append(problem_marks([r for r in rows if piece.scored or r.id.endswith(":0")]))
        findings.failures += failures
    findings.marks = np.concatenate(marks)
    findings.counts["problems"] = len(findings.marks)
    findings.failures = findings.failures[: MAX_TOLD + 1]
    return findings


def _here(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Findings]]:
    """Look at pieces in this process."""
    for piece in pieces:
        yield piece, look_at(piece)


def _batches(piece: Piece) -> Iterator[list[Problem]]:
    """The rows of a piece."""
    with pq.ParquetFile(piece.path) as file:
        batches = file.iter_batches(BATCH_ROWS, piece.row_groups, columns=SCHEMA.names)
        for batch in batches:
            columns = [batch.column(name).to_pylist() for name in SCHEMA.names]
            yield list(map(Problem, *columns))


def _row_groups(path: Path) -> Iterator[tuple[tuple[int, ...], int]]:
    """The row groups of a file in runs of some thousand rows, and how many rows."""
    metadata = pq.read_metadata(path)
    groups: list[int] = []
    num_rows = 0
    for number in range(metadata.num_row_groups):
        groups.append(number)
        num_rows += metadata.row_group(number).num_rows
        if num_rows >= PIECE_ROWS or number == metadata.num_row_groups - 1:
            yield tuple(groups), num_rows
            groups, num_rows = [], 0


def _demonstrates(config: dict[str, Any], split: str) -> bool:
    """Whether a split holds demonstrations, in the config of any task."""
    parts = [config, *(config.get(task) for task in ("sat", "abd"))]
    splits = [part["splits"].get(split) for part in parts if part and "splits" in part]
    return any(own and own.get("demonstrations") for own in splits)


def _repeated(marks: dict[str, list[NDArray[np.uint64]]]) -> list[str]:
    """Say where problems occur twice."""
    failures = []
    whole = {split: np.sort(np.concatenate(own)) for split, own in marks.items()}
    for split, own in whole.items():
        twice = int((own[1:] == own[:-1]).sum())
        if twice:
            failures.append(f"split {split}: {twice:,} problems are there twice")
    names = list(whole)
    for place, split in enumerate(names):
        for other in names[:place]:
            shared = len(np.intersect1d(whole[split], whole[other]))
            if shared:
                failures.append(f"splits {other} and {split} share {shared:,} problems")
    return failures


def told(counts: Counter[str], formats: Sequence[str]) -> str:
    """Say what was checked, in one line."""
    rows = ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items()) if name.endswith("rows"))
    return (
        f"certified: {rows}; {counts['gold']:,} gold answers score 1, {counts['wrong']:,} wrong "
        f"ones 0; {counts['problems']:,} problems, none twice, none in two splits; every row is a "
        f"record of {json.dumps(list(formats))[1:-1]}"
    )
