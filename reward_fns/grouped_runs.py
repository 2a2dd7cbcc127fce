"""Runs many plain programs in one guarded child of the sandbox: a process for each takes longer.

A harness gives each run a namespace, a stdin and a stdout of its own. It only tells what runs that
end well printed: whatever else happens, the caller runs again, alone, to see it as it is.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from reward_fns.sandbox import Limits, shared_sandbox

Run: TypeAlias = tuple[str, str]
"""A program and its stdin."""
MOST_RUNS, MOST_CHARS, MOST_BYTES = 64, 200_000, 500_000
"""Most runs of one child, characters of programs and inputs, and bytes that they may print."""
WALL_S, CPU_S = 2.0, 1
"""Limits of a child: such programs take milliseconds, and one that hangs is found out alone."""
FAILED = "failed"

HARNESS = """\
import io, json, sys

def run(program, text):
    sys.stdin, sys.stdout = io.StringIO(text, newline=None), io.StringIO()
    try:
        exec(codes[program], {"__name__": "__main__"})
    except BaseException:
        return failed
    return [sys.stdout.getvalue()]

console = sys.stdout
programs, runs, failed = json.load(sys.stdin)
codes = [compile(program, "<program>", "exec") for program in programs]
printed = [run(program, text) for program, text in runs]
sys.stdout = console
json.dump(printed, sys.stdout)
"""


def run_grouped(
    runs: Sequence[Run], limits: Limits, deadline_s: float | None = None
) -> list[str | None]:
    """Return what each run printed; None where that is to be seen by running it alone.

    The programs must be plain (see `plain_programs.is_plain`). Raises SandboxError if no program
    can be run here at all.
    """
    outputs: list[str | None] = [None] * len(runs)
    places = [place for place, run in enumerate(runs) if _fits(run, limits)]
    if len(places) < 2:
        return outputs
    groups = _groups(places, runs)
    requests = [(HARNESS, _request([runs[place] for place in group])) for group in groups]
    own = replace(limits, wall_s=min(limits.wall_s, WALL_S), cpu_s=min(limits.cpu_s, CPU_S))
    results = shared_sandbox().run_many(requests, own, deadline_s)
    for group, result in zip(groups, results, strict=True):
        if result is None or result.status != "ok" or len(result.stdout) > MOST_BYTES:
            continue
        for place, printed in zip(group, json.loads(result.stdout), strict=True):
            if printed != FAILED and _is_text(printed[0]):
                outputs[place] = printed[0]
    return outputs


def _groups(places: list[int], runs: Sequence[Run]) -> list[list[int]]:
    """Cut runs into groups that keep all servers busy."""
    size = min(MOST_RUNS, -(-len(places) // shared_sandbox().num_servers))
    groups: list[list[int]] = [[]]
    num_chars = 0
    for place in places:
        length = sum(map(len, runs[place]))
        if groups[-1] and (len(groups[-1]) == size or num_chars + length > MOST_CHARS):
            groups.append([])
            num_chars = 0
        groups[-1].append(place)
        num_chars += length
    return groups


def _request(runs: Sequence[Run]) -> str:
    programs = list(dict.fromkeys(program for program, _ in runs))
    place = {program: number for number, program in enumerate(programs)}
    return json.dumps([programs, [(place[program], stdin) for program, stdin in runs], FAILED])


def _fits(run: Run, limits: Limits) -> bool:
    """Whether a run's input is short text; others meet the limits of the sandbox alone."""
    return len(run[1]) <= min(MOST_CHARS // 8, limits.input_bytes // 8) and _is_text(run[1])


def _is_text(text: str) -> bool:
    """Whether a stream can hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
