"""The places of a pool: each holds one server, or will when it is needed; threads take turns."""

import threading
from collections import Counter

from reward_fns.sandbox.connection import Connection
from reward_fns.sandbox.layers import Layers
from reward_fns.sandbox.limits import SandboxError

_CLOSE_S = 5.0


class Slot:
    """One place: its server is started at the first use, and anew after it failed."""

    def __init__(self, layers: Layers, unsafe: bool) -> None:
        self._layers, self._unsafe = layers, unsafe
        self.connection: Connection | None = None
        """The server, where there is one."""

    def start(self) -> Connection:
        """Return the server, started if need be; ServerFailed where that is impossible."""
        if self.connection is None:
            self.connection = Connection(self._layers, self._unsafe)
        return self.connection

    def discard(self) -> None:
        """End a server that failed."""
        if self.connection is not None:
            self.connection.kill()
            self.connection.close()
            self.connection = None

    def forget(self) -> None:
        """Let go of a server that belongs to the process that this one was forked from."""
        if self.connection is not None:
            self.connection.forget()
            self.connection = None


class Slots:
    """All places of a pool. The one used last is taken first: its memory is warm."""

    def __init__(self, number: int, layers: Layers, unsafe: bool) -> None:
        self.number = number
        self._all = [Slot(layers, unsafe) for _ in range(number)]
        self._free = list(reversed(self._all))
        self._changed = threading.Condition()
        self._num_waiting = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the pool takes no more work."""
        return self._closed

    def take(self) -> Slot:
        """Wait for a place."""
        with self._changed:
            self._num_waiting += 1
            try:
                while not self._free:
                    self._check_open()
                    self._changed.wait(60.0)
                self._check_open()
                return self._free.pop()
            finally:
                self._num_waiting -= 1

    def take_now(self) -> Slot | None:
        """Return a place that nobody waits for, or None."""
        with self._changed:
            self._check_open()
            return self._free.pop() if len(self._free) > self._num_waiting else None

    def give_back(self, slot: Slot) -> None:
        """Let others use a place."""
        with self._changed:
            if self._closed:
                slot.discard()
            self._free.append(slot)
            self._changed.notify()

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("this sandbox is closed")

    def close(self) -> None:
        """End all servers; who waits for an answer gets an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for slot in self._all:
                if slot not in self._free and slot.connection is not None:
                    slot.connection.kill()
            self._changed.wait_for(lambda: len(self._free) == len(self._all), _CLOSE_S)
            free, self._free = self._free, []
        for slot in free:
            if slot.connection is not None:
                slot.connection.hang_up()
        for slot in free:
            if slot.connection is not None:
                slot.connection.close()
                slot.connection = None

    def forget(self) -> None:
        """Begin anew in a process that was forked: the servers belong to the other one."""
        for slot in self._all:
            slot.forget()
        self._free = list(reversed(self._all))
        self._changed = threading.Condition()
        self._num_waiting = 0


class Counts:
    """What came of a pool's runs so far."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._names = names
        self._values: Counter[str] = Counter()

    def forget(self) -> None:
        """Go on in a process that was forked, where nobody would open the lock."""
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Count one more."""
        with self._lock:
            self._values[name] += 1

    def snapshot(self) -> dict[str, int]:
        """Return all counts, also those of 0."""
        with self._lock:
            return {name: self._values[name] for name in self._names}
