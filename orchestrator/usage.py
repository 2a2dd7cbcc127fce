"""What a run takes of the machine: time, CPU time and memory of all its processes.

Measured on the driver's machine: the driver, the Ray that it started, and everything below them.
On a cluster that was joined the workers are not below the driver, and only the driver is measured;
each step's CPU time in the first worker is in timings.jsonl.
"""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from datagen.whole_file import read_sealed, replace_text, seal_json

SAMPLE_EVERY_S = 2.0
USAGE_NAME = "usage.json"


class UsageMonitor:
    """Samples the process tree; adds up over the sessions of a run that was resumed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / USAGE_NAME
        self._started = time.monotonic()
        self._cpu: dict[tuple[int, float], float] = {}
        self._peak = 0
        self._before = {"wall_s": 0.0, "cpu_s": 0.0, "peak_bytes": 0} | read_usage(folder)
        self._ended: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sample_on, daemon=True, name="usage")
        self._saving = threading.Lock()

    def __enter__(self) -> Self:
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()
        self._thread.join()
        self.sample()
        self._ended = time.monotonic()
        self.save()

    def sample(self) -> None:
        """Look at all processes once. Memory that processes share is counted once (PSS)."""
        total = 0
        this = psutil.Process()
        for process in [this, *this.children(recursive=True)]:
            try:
                times = process.cpu_times()
                self._cpu[process.pid, process.create_time()] = times.user + times.system
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
                continue
        self._peak = max(self._peak, total)

    def totals(self) -> dict[str, float]:
        """Return wall_s, cpu_s (seconds) and peak_bytes of the run so far, all sessions."""
        now = time.monotonic() if self._ended is None else self._ended
        return {
            "wall_s": self._before["wall_s"] + now - self._started,
            "cpu_s": self._before["cpu_s"] + sum(self._cpu.values()),
            "peak_bytes": max(self._before["peak_bytes"], self._peak),
        }

    def save(self) -> None:
        """Keep the totals for a session that goes on; a full disk loses only these."""
        with self._saving, suppress(OSError):
            replace_text(self._path, seal_json(self.totals()))

    def _sample_on(self) -> None:
        while not self._stopping.wait(SAMPLE_EVERY_S):
            self.sample()
            self.save()


def read_usage(folder: Path) -> dict[str, float]:
    """Return what a run has taken so far, empty where nobody has measured it.

    Raises DamageError where the file was changed.
    """
    path = folder / USAGE_NAME
    if not path.is_file() or not path.stat().st_size:
        return {}  # A power loss may leave it empty.
    return read_sealed(path, "restore it, or remove it: time and memory then count from zero")
