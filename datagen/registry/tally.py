"""What a version's rows add up to: their hash, their numbers and their sizes."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datagen.formats.rows import as_example
from datagen.registry.choosing import ChosenRow
from datagen.registry.manifest import MAX_LISTED_IDS, Kind, Stats, content_hash
from datagen.registry.rows import row_split


@dataclass
class Tally:
    """Add every row in order, then read."""

    num_rows: int = 0
    _hashes: dict[str, Any] = field(default_factory=dict)
    _ids: dict[str, list[str]] = field(default_factory=dict)
    _steps: Counter[int] = field(default_factory=Counter)
    _num_chars: int = 0

    def add(self, row: ChosenRow) -> str:
        """Add a row; return its split."""
        split = row_split(row.row)
        if split not in self._hashes:
            self._hashes[split], self._ids[split] = hashlib.sha256(), []
        self._hashes[split].update(row.line)
        self.num_rows += 1
        if self.num_rows <= MAX_LISTED_IDS:
            self._ids[split].append(row.row.id)
        example = as_example(row.row)
        self._steps[len(example.steps)] += 1
        texts = (example.prompt, *example.steps, example.final_answer)
        self._num_chars += sum(map(len, texts))
        return split

    @property
    def rows(self) -> dict[str, str]:
        """The sha256 of each split's rows."""
        return {split: found.hexdigest() for split, found in self._hashes.items()}

    def content_hash(self, kind: Kind) -> str:
        """Return the hash of all rows."""
        return content_hash(kind, self.rows)

    @property
    def ids(self) -> tuple[str, ...] | None:
        """The ids of all rows, split after split; None if they are too many."""
        if self.num_rows > MAX_LISTED_IDS:
            return None
        return tuple(row_id for ids in self._ids.values() for row_id in ids)

    @property
    def stats(self) -> Stats:
        """Numbers and sizes."""
        num_steps = sum(steps * rows for steps, rows in self._steps.items())
        return Stats(
            trace_count=self.num_rows,
            avg_step_count=num_steps / self.num_rows,
            min_step_count=min(self._steps),
            max_step_count=max(self._steps),
            avg_total_chars=self._num_chars / self.num_rows,
        )
