"""Rows with where they come from, and the bytes that stand for their content."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from datagen.formats.containers import json_text
from datagen.formats.jsonl import record
from datagen.formats.rows import Row
from datagen.registry.manifest import Kind, SourceInfo, Via
from datagen.traces import Trace

TRACES_SPLIT = "traces"
"""Stands for the split of traces, which have none."""


@dataclass(frozen=True, slots=True)
class SourcedRow:
    """A row, which of a source's `infos` it comes from, and its place there, counted from 0."""

    row: Row
    source: int
    position: int


class RowSource(Protocol):
    """Rows of one kind, read as often as wanted, always in the same order."""

    @property
    def kind(self) -> Kind:
        """What its rows are."""

    @property
    def uri(self) -> str:
        """What messages call it."""

    @property
    def infos(self) -> tuple[SourceInfo, ...]:
        """What made its rows."""

    @property
    def version(self) -> Via | None:
        """The version of the registry that it is, if it is one."""

    def rows(self) -> Iterator[SourcedRow]:
        """Yield the rows; ValueError where bytes are not what a manifest says."""


def row_line(row: Row) -> bytes:
    """Return a row as a line of its `jsonl` export, which is its content for all hashes."""
    return f"{json_text(record(row))}\n".encode()


def row_split(row: Row) -> str:
    """Return the split that a row is in."""
    return TRACES_SPLIT if isinstance(row, Trace) else row.split
