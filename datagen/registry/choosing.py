"""Chooses the rows of a version out of its sources, in one or two streams over them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from datagen.formats.rows import Row
from datagen.registry.config import BuildConfig
from datagen.registry.filters import Filters
from datagen.registry.manifest import Kind, SourceInfo
from datagen.registry.row_ids import RowIds, content_digest
from datagen.registry.rows import RowSource, SourcedRow, row_line
from datagen.registry.selection import Largest, rank

FILTERED, DUPLICATE, BEYOND = "filtered", "duplicate", "beyond the limit"
PROGRESS_ROWS = 4096

Progress = Callable[[int, int], None]
"""Called with the rows read in this pass and those that were taken so far."""


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """A row of a version: `source` is its place in `Choice.infos`, `line` its content."""

    row: Row
    source: int
    position: int
    line: bytes


@dataclass
class Choice:
    """The rows that a config takes of sources; iterate as often as wanted, then read the counts."""

    config: BuildConfig
    sources: Sequence[RowSource]
    progress: Progress = lambda read, taken: None
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that were not taken, by reason, in the last iteration."""
    kind: Kind = field(init=False)
    infos: tuple[SourceInfo, ...] = field(init=False)
    """What made the rows of all sources."""

    def __post_init__(self) -> None:
        """Refuse sources of two kinds, and filters that no row of theirs can meet."""
        first = self.sources[0]
        for source in self.sources:
            if source.kind != first.kind:
                raise ValueError(
                    f"--from {first.uri} holds {first.kind} and {source.uri} {source.kind}: "
                    "build a dataset of each"
                )
        self.kind = first.kind
        Filters(self.kind, self.config.filters)
        self.infos = tuple(info for source in self.sources for info in source.infos)

    def __iter__(self) -> Iterator[ChosenRow]:
        """Yield the rows in the order of the sources; ValueError if there is none."""
        self.dropped.clear()
        if self.config.limit is None:
            yield from (row for _, row in self._fitting())
        else:
            yield from self._limited(self.config.limit)

    def _limited(self, limit: int) -> Iterator[ChosenRow]:
        """Find out which rows to take in a first stream, and take them in a second."""
        best, fitting = Largest(limit), 0
        for number, row in self._fitting():
            best.add(rank(row.row, self.config), number)
            fitting += 1
        numbers = best.numbers()
        self.dropped[BEYOND] = fitting - len(numbers)
        wanted = iter(numbers)
        following = int(next(wanted))
        for number, found in self._numbered():
            if number == following:
                yield _chosen(found)
                # The rest is read as well: a file's end is where its hash is checked.
                following = int(next(wanted, -1))

    def _fitting(self) -> Iterator[tuple[int, ChosenRow]]:
        """Yield the rows that the filters take, none twice, numbered by their place in all."""
        filters, taken, number = Filters(self.kind, self.config.filters), 0, -1
        with RowIds() as ids:
            for number, found in self._numbered():
                if not filters.take(found.row):
                    self.dropped[FILTERED] += 1
                elif self._is_new(row := _chosen(found), ids):
                    taken += 1
                    yield number, row
                if number % PROGRESS_ROWS == 0:
                    self.progress(number, taken)
        self.progress(number + 1, taken)
        if not taken:
            names = ", ".join(source.uri for source in self.sources)
            raise ValueError(f"no row is left of {names}: {filters.why_nothing()}")

    def _is_new(self, row: ChosenRow, ids: RowIds) -> bool:
        digest = content_digest(row.line)
        same = ids.add(row.row.id, digest, row.source)
        if same is None:
            return True
        if same[0] != digest:
            here, there = self.infos[row.source].uri, self.infos[same[1]].uri
            raise ValueError(
                f"row {row.row.id!r} is in {there} and, with other content, in {here}: "
                "generate one of them with another seed, or filter"
            )
        self.dropped[DUPLICATE] += 1
        return False

    def _numbered(self) -> Iterator[tuple[int, SourcedRow]]:
        """Yield all rows of all sources with their place in them; `source` counts `infos`."""
        number = first = 0
        for source in self.sources:
            for row in source.rows():
                yield number, SourcedRow(row.row, first + row.source, row.position)
                number += 1
            first += len(source.infos)


def _chosen(row: SourcedRow) -> ChosenRow:
    return ChosenRow(row.row, row.source, row.position, row_line(row.row))
