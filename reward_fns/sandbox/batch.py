"""Runs a batch of programs over all servers of a pool, from one thread."""

import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from reward_fns.sandbox.connection import Connection, Job, ServerFailed
from reward_fns.sandbox.limits import Result, SandboxError
from reward_fns.sandbox.requests import Request
from reward_fns.sandbox.slots import Slot, Slots
from reward_fns.sandbox.wire import MAX_RUNS

NUM_ATTEMPTS = 3
"""How often a run is tried whose server fails."""
_MAX_FAILURES = 16
"""So many in a row, with no answer between them, are no accident."""
_MAX_JOBS = 2
"""What a server holds: one job that it does, and the next, so that it need not wait for us."""
_LONGEST_WAIT_S = 60.0


class Batch:
    """One call of run_many."""

    def __init__(
        self, slots: Slots, requests: Sequence[Request | Result], count: Callable[[str], None]
    ) -> None:
        self._slots, self._count = slots, count
        self._results = [r if isinstance(r, Result) else None for r in requests]
        most = min(MAX_RUNS, -(-len(requests) // slots.number))
        self._pending = deque(_jobs(requests, most))
        self._attempts = [0] * len(requests)
        self._busy: dict[Slot, Connection | None] = {}
        self._selector = selectors.PollSelector()
        self._num_failures = 0
        self.failure: ServerFailed | None = None
        """The last failure of a server."""

    def run(self) -> list[Result | None]:
        """Return each request's result, or None: the sandbox failed for it again and again."""
        try:
            while self._busy or self._pending:
                self._hand_out()
                self._collect()
        finally:
            for slot in list(self._busy):
                self._free(slot, failed=True)
            self._selector.close()
        return self._results

    def _hand_out(self) -> None:
        """Give waiting jobs to the places that are free; wait for one if we hold none."""
        while self._pending:
            slot = self._slots.take_now() if self._busy else self._slots.take()
            if slot is None:
                break
            self._busy[slot] = None
            try:
                started = self._busy[slot] = slot.start()
                self._selector.register(started.socket, selectors.EVENT_READ, slot)
                started.send(self._pending.popleft())
            except ServerFailed as error:
                self._fail(slot, error)
        for slot, connection in list(self._busy.items()):
            # What is left at the end waits here, for the server that is free first.
            if connection is None or len(self._pending) <= len(self._busy):
                continue
            try:
                while len(connection.jobs) < _MAX_JOBS:
                    connection.send(self._pending.popleft())
            except ServerFailed as error:
                self._fail(slot, error)

    def _collect(self) -> None:
        """Wait until something happens, and take the answers that came."""
        ends = [connection.end() for connection in self._busy.values() if connection is not None]
        if not ends:
            return
        left = min(ends) - time.monotonic()
        for key, _ in self._selector.select(min(max(left, 0.0), _LONGEST_WAIT_S)):
            self._take_answer(key.data)
        now = time.monotonic()
        for slot, connection in list(self._busy.items()):
            if connection is not None and now >= connection.end():
                self._fail(slot, ServerFailed("the server does not answer"))

    def _take_answer(self, slot: Slot) -> None:
        connection = self._busy[slot]
        assert connection is not None
        try:
            if not connection.take_answer():
                return
        except ServerFailed as error:
            self._fail(slot, error)
            return
        job, results = connection.take_job()
        self._num_failures = 0
        self._keep(job, results)
        if not connection.jobs:
            self._free(slot)

    def _keep(self, job: Job, results: list[Result | None]) -> None:
        """Take the results of a job; what is not there is tried again, if not too often yet."""
        again = list(range(len(results), len(job.places)))
        for number, result in enumerate(results):
            if result is None:
                self._attempts[job.places[number]] += 1
                again.append(number)
            else:
                self._results[job.places[number]] = result
                self._count(result.status)
        left = [n for n in sorted(again) if self._attempts[job.places[n]] < NUM_ATTEMPTS]
        for _ in range(len(again) - len(left)):
            self._count("sandbox_error")
        if left:
            self._pending.append(
                Job([job.places[n] for n in left], [job.requests[n] for n in left])
            )

    def _fail(self, slot: Slot, error: ServerFailed) -> None:
        """Replace a server; of its jobs, the run that it was at has failed, and others have not."""
        connection = self._busy[slot]
        jobs = [connection.take_job() for _ in list(connection.jobs)] if connection else []
        self._free(slot, failed=True)
        self.failure = error
        self._num_failures += 1
        if self._num_failures >= _MAX_FAILURES:
            raise SandboxError(f"{self._num_failures} failures in a row: {error}") from error
        for number, (job, results) in enumerate(jobs):
            if number == 0 and len(results) < len(job.places):
                self._attempts[job.places[len(results)]] += 1
            self._keep(job, results)

    def _free(self, slot: Slot, failed: bool = False) -> None:
        connection = self._busy.pop(slot)
        if connection is not None and connection.socket in self._selector.get_map():
            self._selector.unregister(connection.socket)
        if failed and slot.connection is not None:
            slot.discard()
            self._count("restarts")
        self._slots.give_back(slot)


def _jobs(requests: Sequence[Request | Result], most: int) -> Iterator[Job]:
    """Cut a batch into jobs of one program each, of at most so many runs."""
    jobs: dict[bytes, Job] = {}
    for place, request in enumerate(requests):
        if isinstance(request, Result):
            continue
        job = jobs.setdefault(request.program, Job([], []))
        job.places.append(place)
        job.requests.append(request)
        if len(job.places) == most:
            yield jobs.pop(request.program)
    yield from jobs.values()
