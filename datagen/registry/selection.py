"""Which rows a limit leaves: the latest, or a random sample, in memory that only it bounds.

`latest` goes by the time that a trace says in `meta.created_at`, older where it says none; of equal
times, and of problems, the row that is read later is the later one: sources in the order of
`--from`, rows in the order of the source. `random` takes the rows whose keys, sha256 of the seed
and the row's id, are the largest: it does not depend on the order or number of the sources.
"""

import datetime
from array import array

import numpy as np
from numpy.typing import NDArray

from datagen.formats.rows import Row
from datagen.keys import item_key
from datagen.registry.config import BuildConfig
from datagen.traces import Trace

MIN_BUFFER = 4096
NO_TIME = -(1 << 63)
CREATED_AT = "created_at"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Largest:
    """The `limit` largest ranks, each with the number of its row; equal ranks by that number."""

    def __init__(self, limit: int) -> None:
        """Start with none."""
        self._limit = limit
        self._ranks, self._numbers = array("q"), array("q")

    def add(self, rank: int, number: int) -> None:
        """Offer a row."""
        self._ranks.append(rank)
        self._numbers.append(number)
        if len(self._ranks) >= self._limit + max(self._limit, MIN_BUFFER):
            self._trim()

    def numbers(self) -> NDArray[np.int64]:
        """Return the rows' numbers, in order."""
        self._trim()
        return np.sort(np.array(self._numbers, np.int64))

    def _trim(self) -> None:
        ranks, numbers = np.array(self._ranks, np.int64), np.array(self._numbers, np.int64)
        kept = np.lexsort((numbers, ranks))[-self._limit :]
        self._ranks = array("q", ranks[kept].tobytes())
        self._numbers = array("q", numbers[kept].tobytes())


def rank(row: Row, config: BuildConfig) -> int:
    """Return what a row is selected by, a 64-bit number."""
    if config.strategy == "latest":
        return _time(row)
    assert config.seed is not None
    key = item_key("registry", "random", config.seed, 0, row.id)
    return int.from_bytes(key[:8], "little", signed=True)


def _time(row: Row) -> int:
    """Microseconds of a trace's time."""
    meta = row.meta if isinstance(row, Trace) else None
    said = (meta or {}).get(CREATED_AT)
    if said is None:
        return NO_TIME
    try:
        time = datetime.datetime.fromisoformat(said)
    except (TypeError, ValueError):
        raise ValueError(
            f"trace {row.id!r}: meta.{CREATED_AT} is {said!r}, and strategy latest goes by it: "
            "write a time as 2026-01-31T12:00:00Z"
        ) from None
    return ((time if time.tzinfo else time.replace(tzinfo=datetime.UTC)) - _EPOCH) // _MICROSECOND
