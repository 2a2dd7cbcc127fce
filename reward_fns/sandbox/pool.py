"""A pool of servers: runs programs one by one, or a batch over all servers at once."""

import contextlib
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Literal, Self, get_args

from reward_fns.sandbox.batch import NUM_ATTEMPTS, Batch
from reward_fns.sandbox.connection import ServerFailed, ServerRefused
from reward_fns.sandbox.layers import Layers
from reward_fns.sandbox.layers import layers as probe_layers
from reward_fns.sandbox.limits import STATUSES, Limits, Result, SandboxError
from reward_fns.sandbox.requests import make_request
from reward_fns.sandbox.slots import Counts, Slots

Mode = Literal["guarded", "unsafe"]
MAX_SERVERS = 256
_DEFAULT = Limits()
_pools: "weakref.WeakSet[Sandbox]" = weakref.WeakSet()


class Sandbox:
    """Servers that run programs, one a core by default; usable from any thread.

    Raises SandboxError where this machine lacks the guards that mode "guarded" needs. Mode
    "unsafe" runs programs with limits, but with all that this process's user may do.
    """

    def __init__(
        self,
        num_servers: int | None = None,
        mode: Mode = "guarded",
        *,
        layers: Layers | None = None,
    ) -> None:
        self.num_servers = check_num_servers(num_servers)
        self.mode: Mode = check_mode(mode)
        self.layers = probe_layers() if layers is None else layers
        missing = self.layers.missing_minimum
        if missing and mode == "guarded":
            raise SandboxError(f"programs cannot be run safely on this machine: {missing}")
        self._slots = Slots(self.num_servers, self.layers, mode == "unsafe")
        self._counts = Counts((*STATUSES, "sandbox_error", "restarts"))
        self._finalizer = weakref.finalize(self, self._slots.close)
        self._start()
        _pools.add(self)

    def _start(self) -> None:
        """Start one server, to know that it can be done; the others start when needed."""
        slot = self._slots.take()
        try:
            slot.start().wait_until_ready()
        except ServerFailed as error:
            slot.discard()
            raise SandboxError(f"the sandbox does not start: {error}") from error
        except ServerRefused as error:
            slot.discard()
            raise SandboxError(f"programs cannot be run safely on this machine: {error}") from error
        finally:
            self._slots.give_back(slot)

    def run(self, program: str, stdin: str | bytes = b"", limits: Limits = _DEFAULT) -> Result:
        """Run one program; SandboxError where the sandbox itself fails, again and again."""
        batch = self._batch([(program, stdin)], limits)
        (result,) = batch.run()
        if result is None:
            raise SandboxError(f"{NUM_ATTEMPTS} attempts failed, the last one: {batch.failure}")
        return result

    def run_many(
        self,
        runs: Sequence[tuple[str, str | bytes]],
        limits: Limits = _DEFAULT,
    ) -> list[Result | None]:
        """Run programs on their inputs over all servers; results in the order of `runs`.

        A program is compiled once, and each of its runs has a process and limits of its own: what
        comes of it depends on nothing else. None: the sandbox failed for it again and again.
        """
        return self._batch(runs, limits).run()

    def _batch(
        self,
        runs: Sequence[tuple[str, str | bytes]],
        limits: Limits,
    ) -> Batch:
        requests = [make_request(program, stdin, limits) for program, stdin in runs]
        for request in requests:
            if isinstance(request, Result):
                self._counts.add(request.status)
        return Batch(self._slots, requests, self._counts.add)

    @property
    def counts(self) -> Mapping[str, int]:
        """Runs so far by status, and "sandbox_error" and "restarts" of servers."""
        return self._counts.snapshot()

    @property
    def closed(self) -> bool:
        """Whether it takes no more programs."""
        return self._slots.closed

    def close(self) -> None:
        """End all servers."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _forget(self) -> None:
        self._slots.forget()
        self._counts.forget()


def check_num_servers(number: int | None) -> int:
    """Return how many servers there shall be."""
    if number is None:
        return min(len(os.sched_getaffinity(0)), MAX_SERVERS)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_SERVERS:
        raise ValueError(f"num_servers is {number!r}: use 1 to {MAX_SERVERS}, or None: one a core")
    return number


def check_mode(mode: str) -> Mode:
    """Return the mode, or raise ValueError."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode is {mode!r}: use one of {', '.join(get_args(Mode))}")
    return "unsafe" if mode == "unsafe" else "guarded"


def _after_fork() -> None:
    for pool in list(_pools):
        with contextlib.suppress(OSError):
            pool._forget()


os.register_at_fork(after_in_child=_after_fork)
