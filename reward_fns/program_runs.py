"""Runs the programs of a batch of answers: each distinct (program, input) once, over all servers.

    outcomes = run_all([(program, stdin), …])

Limits and what is remembered belong to the process, as the sandbox does: `configure_runs` sets
them. The expected output of a problem never comes here.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from reward_fns.sandbox import Limits, Result, shared_sandbox

Run: TypeAlias = tuple[str, str]
"""A program and its stdin."""
CACHE_ENTRIES, CACHE_BYTES = 65_536, 32 << 20
"""At most so many results, of so many bytes of output, are remembered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run: its status and what it printed, undecodable bytes replaced."""

    status: str
    stdout: str
    has_stderr: bool


@dataclass
class _Runs:
    """The settings of this process and the results that it remembers."""

    limits: Limits = field(default_factory=Limits)
    remembered: OrderedDict[bytes, Outcome] = field(default_factory=OrderedDict)
    num_bytes: int = 0


_runs = _Runs()


def configure_runs(limits: Limits | None = None) -> None:
    """Set the limits of a run; what was remembered is forgotten."""
    global _runs
    _runs = _Runs(limits or Limits())


def run_all(runs: Sequence[Run]) -> list[Outcome | None]:
    """Return the outcome of each (program, stdin), in order; equal runs are made once.

    Whatever an input does is an outcome. None stands for a run for which the sandbox failed again
    and again: it tells nothing about the program, and is not remembered. Raises SandboxError if no
    program can be run here at all.
    """
    settings = _runs
    keys = [_key(*run) for run in runs]
    known: dict[bytes, Outcome | None] = {k: settings.remembered.get(k) for k in keys}
    missing = {k: run for k, run in zip(keys, runs, strict=True) if known[k] is None}
    results = shared_sandbox().run_many(list(missing.values()), settings.limits) if missing else []
    for key, result in zip(missing, results, strict=True):
        known[key] = None if result is None else _remember(settings, key, _outcome(result))
    return [known[key] for key in keys]


def _outcome(result: Result) -> Outcome:
    return Outcome(result.status, result.stdout.decode(errors="replace"), bool(result.stderr))


def _remember(settings: _Runs, key: bytes, outcome: Outcome) -> Outcome:
    """Keep an outcome, dropping the oldest ones where there are too many."""
    settings.remembered[key] = outcome
    settings.num_bytes += len(outcome.stdout)
    while len(settings.remembered) > CACHE_ENTRIES or settings.num_bytes > CACHE_BYTES:
        _, oldest = settings.remembered.popitem(last=False)
        settings.num_bytes -= len(oldest.stdout)
    return outcome


def _key(program: str, stdin: str) -> bytes:
    digest = hashlib.sha256(program.encode(errors="surrogatepass"))
    digest.update(b"\0" + hashlib.sha256(stdin.encode(errors="surrogatepass")).digest())
    return digest.digest()
