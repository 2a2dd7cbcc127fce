"""Runs the programs of a batch of answers: each distinct (program, input) once, over all servers.

    outcomes = run_all([(program, stdin), …])

Limits, the batch's deadline and what is remembered belong to the process, as the sandbox does:
`configure_runs` sets them. The expected output of a problem never comes here.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from reward_fns.grouped_runs import Run, run_grouped
from reward_fns.plain_programs import is_plain
from reward_fns.sandbox import Limits, Result, shared_sandbox

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
    batch_s: float | None = None
    remembered: OrderedDict[bytes, Outcome] = field(default_factory=OrderedDict)
    num_bytes: int = 0


_runs = _Runs()


def configure_runs(limits: Limits | None = None, batch_s: float | None = None) -> None:
    """Set the limits of a run, and the seconds in which a batch ends whatever its programs do.

    Without `batch_s` a batch ends when its last run does. What was remembered is forgotten.
    Raises ValueError if `batch_s` is not positive.
    """
    global _runs
    if batch_s is not None and batch_s <= 0:
        raise ValueError(f"batch_s {batch_s} is not positive: give seconds, or leave it out")
    _runs = _Runs(limits or Limits(), batch_s)


def run_all(runs: Sequence[Run]) -> list[Outcome | None]:
    """Return the outcome of each (program, stdin), in order; equal runs are made once.

    None stands for a run that did not end before the batch's deadline or for which the sandbox
    failed again and again: it tells nothing about the program. Raises SandboxError if no program
    can be run here at all.
    """
    settings = _runs
    keys = [_key(*run) for run in runs]
    known: dict[bytes, Outcome | None] = {k: settings.remembered.get(k) for k in keys}
    missing = {k: run for k, run in zip(keys, runs, strict=True) if known[k] is None}
    for key, outcome in zip(missing, _run_distinct(settings, list(missing.values())), strict=True):
        known[key] = outcome and _remember(settings, key, outcome)
    return [known[key] for key in keys]


def _run_distinct(settings: _Runs, runs: Sequence[Run]) -> list[Outcome | None]:
    """Run plain programs together; then alone all others, and those that did not end well."""
    end = None if settings.batch_s is None else time.monotonic() + settings.batch_s
    outcomes: list[Outcome | None] = [None] * len(runs)
    plain = [place for place, (program, _) in enumerate(runs) if is_plain(program)]
    printed = run_grouped([runs[place] for place in plain], settings.limits, _left(end))
    for place, output in zip(plain, printed, strict=True):
        outcomes[place] = None if output is None else Outcome("ok", output, False)
    alone = [place for place, outcome in enumerate(outcomes) if outcome is None]
    if alone:
        results = shared_sandbox().run_many(
            [runs[place] for place in alone], settings.limits, _left(end)
        )
        for place, result in zip(alone, results, strict=True):
            outcomes[place] = None if result is None else _outcome(result)
    return outcomes


def _left(end: float | None) -> float | None:
    """Seconds until a deadline."""
    return None if end is None else max(end - time.monotonic(), 0.0)


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
