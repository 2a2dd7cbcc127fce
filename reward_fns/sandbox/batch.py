"""Runs a batch of programs over all servers of a pool, from one thread, within a deadline."""

import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence

from reward_fns.sandbox.connection import ServerFailed
from reward_fns.sandbox.limits import Result, SandboxError
from reward_fns.sandbox.requests import Request
from reward_fns.sandbox.slots import Slot, Slots

NUM_ATTEMPTS = 3
"""How often a request is tried whose server fails."""
_MAX_FAILURES = 16
"""So many in a row, with no answer between them, are no accident."""
_OVERTIME_S = 0.5
"""How long after the deadline an answer may come: programs end with it, servers answer then."""
_WITHOUT_END_S = 1e9
_LONGEST_WAIT_S = 60.0


class Batch:
    """One call of run_many."""

    def __init__(
        self,
        slots: Slots,
        requests: Sequence[Request | Result],
        deadline_s: float | None,
        count: Callable[[str], None],
    ) -> None:
        self._slots, self._count = slots, count
        self._end = time.monotonic() + (_WITHOUT_END_S if deadline_s is None else deadline_s)
        self._requests = requests
        self._results = [r if isinstance(r, Result) else None for r in requests]
        self._pending = deque(i for i, r in enumerate(requests) if isinstance(r, Request))
        self._attempts = [0] * len(requests)
        self._busy: dict[Slot, tuple[int, bool]] = {}
        self._selector = selectors.PollSelector()
        self._num_failures = 0
        self.failure: ServerFailed | None = None
        """The last failure of a server."""

    def run(self) -> list[Result | None]:
        """Return each request's result, or None: not run to its end, or the sandbox failed."""
        try:
            while self._busy or (self._pending and time.monotonic() < self._end):
                if time.monotonic() >= self._end + _OVERTIME_S:
                    break
                self._hand_out()
                self._collect()
        finally:
            for slot in list(self._busy):
                self._free(slot, failed=True)
            self._selector.close()
        return self._results

    def _hand_out(self) -> None:
        """Give waiting requests to the places that are free; wait for one if we hold none."""
        while self._pending and time.monotonic() < self._end:
            slot = self._slots.take_now() if self._busy else self._slots.take(self._end)
            if slot is None:
                return
            self._start(slot, self._pending.popleft())

    def _start(self, slot: Slot, index: int) -> None:
        request = self._requests[index]
        assert isinstance(request, Request)
        wall_s, left_s = request.limits.wall_s, max(self._end - time.monotonic(), 0.001)
        self._attempts[index] += 1
        self._busy[slot] = index, left_s < wall_s
        try:
            connection = slot.start()
            connection.send(request, min(wall_s, left_s))
            self._selector.register(connection.socket, selectors.EVENT_READ, slot)
        except ServerFailed as error:
            self._fail(slot, error)

    def _collect(self) -> None:
        """Wait until something happens, and take the answers that came."""
        ends = [slot.connection.end for slot in self._busy if slot.connection is not None]
        if not ends:
            return
        left = min(*ends, self._end + _OVERTIME_S) - time.monotonic()
        for key, _ in self._selector.select(min(max(left, 0.0), _LONGEST_WAIT_S)):
            self._take_answer(key.data)
        now = time.monotonic()
        for slot in list(self._busy):
            if slot.connection is not None and now >= slot.connection.end:
                self._fail(slot, ServerFailed("the server does not answer"))

    def _take_answer(self, slot: Slot) -> None:
        assert slot.connection is not None
        index, cut = self._busy[slot]
        try:
            result = slot.connection.take_answer()
        except ServerFailed as error:
            self._fail(slot, error)
            return
        if result is None:
            return
        self._free(slot)
        self._num_failures = 0
        if not (cut and result.status == "timeout"):
            self._results[index] = result
            self._count(result.status)

    def _fail(self, slot: Slot, error: ServerFailed) -> None:
        index, _ = self._busy[slot]
        self._free(slot, failed=True)
        self.failure = error
        self._num_failures += 1
        if self._num_failures >= _MAX_FAILURES:
            raise SandboxError(f"{self._num_failures} failures in a row: {error}") from error
        if self._attempts[index] < NUM_ATTEMPTS:
            self._pending.append(index)
        else:
            self._count("sandbox_error")

    def _free(self, slot: Slot, failed: bool = False) -> None:
        if slot.connection is not None:
            if slot.connection.socket in self._selector.get_map():
                self._selector.unregister(slot.connection.socket)
            if failed:
                slot.discard()
                self._count("restarts")
        del self._busy[slot]
        self._slots.give_back(slot)
