"""What a run may use, what came of it, and the error that is never a result."""

import math
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "error", "timeout", "memory", "output"]
STATUSES: tuple[Status, ...] = ("ok", "error", "timeout", "memory", "output")

MAX_WALL_S = 3600.0
MIN_MEMORY_BYTES = 4 << 20
MAX_BYTES = 1 << 40


class SandboxError(RuntimeError):
    """Trouble of the sandbox itself: it says nothing about the program that was to run."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use."""

    wall_s: float = 5.0
    """Seconds from start to end."""
    cpu_s: int = 4
    """Whole seconds of CPU time, over all of the program's threads."""
    memory_bytes: int = 256 << 20
    """Address space beyond what the bare interpreter maps."""
    output_bytes: int = 1 << 20
    """Of each of stdout and stderr."""
    input_bytes: int = 1 << 20
    """Of stdin, and of the program's text."""

    def __post_init__(self) -> None:
        for name in ("cpu_s", "memory_bytes", "output_bytes", "input_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} is {value!r}: use a whole number")
        wall_s = self.wall_s
        if isinstance(wall_s, bool) or not isinstance(wall_s, int | float):
            raise ValueError(f"wall_s is {wall_s!r}: use a number of seconds")
        if not (math.isfinite(wall_s) and 0 < wall_s <= MAX_WALL_S):
            raise ValueError(f"wall_s is {wall_s}: use a number above 0, up to {MAX_WALL_S:.0f}")
        _check_range("cpu_s", self.cpu_s, 1, int(MAX_WALL_S))
        _check_range("memory_bytes", self.memory_bytes, MIN_MEMORY_BYTES, MAX_BYTES)
        _check_range("output_bytes", self.output_bytes, 1, MAX_BYTES)
        _check_range("input_bytes", self.input_bytes, 1, MAX_BYTES)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}: use {low} to {high}")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one run.

    "ok" means that the program ran to its end. An exception, any call of exit, sys.exit or
    os._exit (also with code 0), death by a signal, and text that is no program are "error".
    """

    status: Status
    stdout: bytes
    """What was written, up to the limit."""
    stderr: bytes
    exit_code: int | None
    """Negative: killed by that signal. None: nothing was started."""
    cpu_s: float
    wall_s: float
    peak_bytes: int
    """The most memory that was resident, the bare interpreter's included."""
