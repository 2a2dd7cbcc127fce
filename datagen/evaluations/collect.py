"""Collects the evaluations that become SFT data, and counts what became of all others."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from datagen.evaluations.config import EvaluationsConfig
from datagen.evaluations.index import Chosen, choose_keys
from datagen.evaluations.reading import READ, Batch, read_objects
from datagen.evaluations.results import Evaluation, read_result
from datagen.evaluations.source import ResultSource
from datagen.evaluations.verify import Agreement, verify_rows

KEPT, DUPLICATE = "kept", "duplicate"
Progress = Callable[[int, int], None]
"""Called with the objects read and the rows kept so far."""


@dataclass
class Collection:
    """The evaluations of a source; iterate once, then read the counts.

    With `max_results`, reading stops at the last row that is kept, and the counts tell of what was
    read until then.
    """

    source: ResultSource
    config: EvaluationsConfig
    progress: Progress = lambda done, kept: None
    chosen: Chosen = field(init=False)
    objects: Counter[str] = field(default_factory=Counter)
    """Objects by outcome."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows by what became of them."""
    tasks: set[str] = field(default_factory=set)
    """Tasks of the rows that were kept."""
    agreements: dict[str, Agreement] = field(default_factory=dict)
    """By task, where rows were scored again."""

    def __post_init__(self) -> None:
        self.chosen = choose_keys(self.source, self.config.tail)

    def __iter__(self) -> Iterator[Evaluation]:
        seen: set[bytes] = set()
        batches = read_objects(
            self.source, self.chosen.keys, lambda item: read_result(item, self.config)
        )
        with closing(batches):
            for batch in batches:
                yield from self._take(batch, seen)
                if self.rows[KEPT] == self.config.max_results:
                    return

    def _take(self, batch: Batch, seen: set[bytes]) -> list[Evaluation]:
        """Count a batch, and return the rows that are kept."""
        self.rows.update(batch.dropped)
        kept = [row for row in batch.rows if self._is_new(row, seen)]
        if self.config.max_results is not None:
            kept = kept[: self.config.max_results - self.rows[KEPT]]
        self.rows[KEPT] += len(kept)
        self.tasks.update(row.task for row in kept)
        if batch.outcome is not None:
            self.objects[batch.outcome] += 1
            self.progress(self.objects.total(), self.rows[KEPT])
        return verify_rows(kept, self.agreements) if self.config.verify else kept

    @property
    def unused_rows(self) -> dict[str, int]:
        """Rows that were not kept, by reason."""
        return {reason: n for reason, n in sorted(self.rows.items()) if reason != KEPT and n}

    @property
    def dropped(self) -> dict[str, int]:
        """All that was not used, rows and objects and index entries, for the manifest."""
        objects = {f"object {why}": n for why, n in sorted(self.objects.items()) if why != READ}
        strange = {"strange index entry": self.chosen.num_strange}
        return self.unused_rows | objects | (strange if self.chosen.num_strange else {})

    def _is_new(self, row: Evaluation, seen: set[bytes]) -> bool:
        digest = bytes.fromhex(row.digest)[:16]
        if digest in seen:
            self.rows[DUPLICATE] += 1
            return False
        seen.add(digest)
        return True
