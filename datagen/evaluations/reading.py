"""Reads result objects in parallel and hands on their rows in the order of the keys.

Each of a few threads reads one object into a queue of two small batches, so that memory depends on
neither the number of objects nor their size.
"""

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from datagen.evaluations.fields import Dropped
from datagen.evaluations.json_stream import BrokenJson, array_items
from datagen.evaluations.results import Evaluation
from datagen.evaluations.source import ResultSource

NUM_THREADS = 8
BATCH_ITEMS, BATCH_CHARS = 64, 1 << 20
POLL_S = 0.1
READ = "read"
"""Outcome of an object that was read to its end; others are BrokenJson's reasons, or `missing`."""


@dataclass(slots=True)
class Batch:
    """Some rows of an object, what became of the others, and with the last, the outcome."""

    rows: list[Evaluation] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    outcome: str | None = None
    error: Exception | None = None
    num_chars: int = 0

    @property
    def full(self) -> bool:
        """Whether it is time to hand it on."""
        num_items = len(self.rows) + self.dropped.total()
        return num_items >= BATCH_ITEMS or self.num_chars >= BATCH_CHARS

    def add(self, item: Any, judge: Callable[[Any], Evaluation]) -> None:
        """Take a row in, or count why not."""
        try:
            row = judge(item)
        except Dropped as dropped:
            self.dropped[dropped.reason] += 1
        else:
            self.rows.append(row)
            self.num_chars += len(row.prompt) + len(row.response) + len(row.env)


def read_objects(
    source: ResultSource, keys: Sequence[str], judge: Callable[[Any], Evaluation]
) -> Generator[Batch]:
    """Yield the batches of every object, in the order of `keys`.

    Objects that are broken or missing say so in the outcome of their last batch. Any other trouble,
    as a connection that fails for good, is raised here. Threads end when the iterator is closed.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="results") as pool:
        try:
            waiting: deque[tuple[queue.Queue[Batch], Future[None]]] = deque()
            for key in keys:
                out: queue.Queue[Batch] = queue.Queue(2)
                waiting.append((out, pool.submit(_read, source, key, judge, out, stop)))
                if len(waiting) == NUM_THREADS:
                    yield from _drain(*waiting.popleft())
            while waiting:
                yield from _drain(*waiting.popleft())
        finally:
            stop.set()


def _drain(out: "queue.Queue[Batch]", reading: "Future[None]") -> Iterator[Batch]:
    """The batches of one object, until its thread has sent the last one or is gone."""
    while True:
        try:
            batch = out.get(timeout=POLL_S)
        except queue.Empty:
            if reading.done() and out.empty():
                reading.result()
                raise RuntimeError("the thread that read a result object has gone") from None
            continue
        if batch.error is not None:
            raise batch.error
        yield batch
        if batch.outcome is not None:
            return


def _read(
    source: ResultSource,
    key: str,
    judge: Callable[[Any], Evaluation],
    out: "queue.Queue[Batch]",
    stop: threading.Event,
) -> None:
    """Read one object into its queue."""
    batch = Batch()
    try:
        with closing(source.open(key)) as stream:
            for item in array_items(stream):
                batch.add(item, judge)
                if batch.full:
                    if not _put(batch, out, stop):
                        return
                    batch = Batch()
        batch.outcome = READ
    except FileNotFoundError:
        batch.outcome = "missing"
    except BrokenJson as error:
        batch.outcome = error.reason
    except Exception as error:
        batch.error = error
    _put(batch, out, stop)


def _put(batch: Batch, out: "queue.Queue[Batch]", stop: threading.Event) -> bool:
    """Hand a batch on; False where nobody wants it any more."""
    while not stop.is_set():
        try:
            out.put(batch, timeout=POLL_S)
            return True
        except queue.Full:
            continue
    return False
