"""Runs a batch of programs over all servers of a pool, from one thread, within a deadline."""

import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence

from reward_fns.sandbox.connection import ServerFailed
from reward_fns.sandbox.limits import Result
from reward_fns.sandbox.requests import Request
from reward_fns.sandbox.slots import Slot, Slots

NUM_ATTEMPTS = 3
_OVERTIME_S = 0.5
"""How long after the deadline an answer may come: programs end with it, servers answer then."""
_LONG_S = 3600.0


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
        self._end = time.monotonic() + (_LONG_S * 24 * 365 if deadline_s is None else deadline_s)
        self._results = [r if isinstance(r, Result) else None for r in requests]
        self._requests = requests
        self._pending = deque(i for i, r in enumerate(requests) if isinstance(r, Request))
        self._attempts = [0] * len(requests)
        self._busy: dict[Slot, tuple[int, bool]] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> list[Result | None]:
        """Return each request's result, or None: not run to its end, or the sandbox failed."""
        try:
            while self._pending or self._busy:
                now = time.monotonic()
                if now >= self._end + _OVERTIME_S or (now >= self._end and not self._busy):
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
        wall_s, left_s = request.limits.wall_s, self._end - time.monotonic()
        self._attempts[index] += 1
        self._busy[slot] = index, left_s < wall_s
        try:
            slot.connection.send(request, min(wall_s, max(left_s, 0.001)))
            self._selector.register(slot.connection.socket, selectors.EVENT_READ, slot)
        except ServerFailed:
            self._fail(slot)

    def _collect(self) -> None:
        """Wait until something happens, and take the answers that came."""
        if not self._busy:
            return
        ends = [slot.connection.end for slot in self._busy]
        left = min(*ends, self._end + _OVERTIME_S, time.monotonic() + _LONG_S) - time.monotonic()
        for key, _ in self._selector.select(max(left, 0)):
            self._take_answer(key.data)
        for slot in list(self._busy):
            if time.monotonic() >= slot.connection.end:
                self._fail(slot)

    def _take_answer(self, slot: Slot) -> None:
        index, cut = self._busy[slot]
        try:
            result = slot.connection.receive(until=time.monotonic())
        except ServerFailed:
            self._fail(slot)
            return
        if result is not None:
            self._free(slot)
            if not (cut and result.status == "timeout"):
                self._results[index] = result
                self._count(result.status)

    def _fail(self, slot: Slot) -> None:
        index, _ = self._busy[slot]
        self._free(slot, failed=True)
        if self._attempts[index] < NUM_ATTEMPTS:
            self._pending.append(index)
        else:
            self._count("sandbox_error")

    def _free(self, slot: Slot, failed: bool = False) -> None:
        connection = slot.started
        if connection is not None and connection.socket in self._selector.get_map():
            self._selector.unregister(connection.socket)
        if failed:
            slot.discard()
            self._count("restarts")
        del self._busy[slot]
        self._slots.give_back(slot)
