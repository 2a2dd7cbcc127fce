"""Programs run per second on one core: guarded, by subprocess.run, and as upstream runs them.

    python bench/sandbox.py [--quick] [--repeats N]

Ours is one server of a guarded pool, which is given 64 runs at a time, as a batch of answers is
judged: each run has a process of its own, and a program that comes more than once in a batch is
compiled once. The cases: the same one-line program and input again and again, many inputs of one
program, another one-line program each time, and programs that import what is common. All answers
are compared with the expected ones on all sides.

The peers, none of which guards anything: `subprocess.run([python, "-c", …])` as one writes it, the
same with `-I -S`, which starts Python with as little as it can, and an executor built as Affine's
is: a temporary file, a whole interpreter with the parent's environment, limits set between fork and
exec, all of stdin written first, then lines read through a selector. What that one loses most on:
when both streams have ended and the process is not yet reaped, it waits 0.1 s on a selector in
which nothing is left.

This process and everything that it starts is bound to one core; the sides take turns, and the clock
is the wall's, since waiting is part of what is compared. What is not covered: more than one core.
"""

import argparse
import contextlib
import json
import os
import resource
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reward_fns.sandbox import Sandbox

Run = Callable[[str, str], bytes]
Case = tuple[str, str, str]
"""A program, its input, and what it prints."""
Side = Callable[[Sequence[Case]], Sequence[bytes]]
"""Makes some runs and returns what each printed."""

ONE_LINE = "n = int(input())\nprint(n * 3 + {})"
BATCH = 64
CASES: dict[str, list[Case]] = {
    "one line": [(ONE_LINE.format(4), "5\n", "19\n")],
    "many inputs of one program": [
        (ONE_LINE.format(4), f"{n}\n", f"{n * 3 + 4}\n") for n in range(BATCH)
    ],
    "another program each time": [
        (ONE_LINE.format(n), "5\n", f"{15 + n}\n") for n in range(4 * BATCH)
    ],
    "with imports": [
        (
            "from collections import Counter, deque\nimport heapq, math, re\n"
            "words = re.findall(r'[a-z]+', input())\nqueue = deque(words)\n"
            "heap = [len(w) for w in queue]\nheapq.heapify(heap)\n"
            "print(Counter(words).most_common(2), heapq.heappop(heap), math.gcd(12, 18))",
            "the cat and the dog and the bird\n",
            "[('the', 3), ('and', 2)] 3 6\n",
        ),
        (
            "import sys, itertools, functools\n"
            "@functools.lru_cache(None)\ndef ways(n):\n"
            "    return 1 if n < 2 else ways(n - 1) + ways(n - 2)\n"
            "rows = [list(map(int, l.split())) for l in sys.stdin]\n"
            "print(ways(rows[0][0]), *itertools.accumulate(rows[1]))",
            "50\n1 2 3 4 5\n",
            "20365011074 1 3 6 10 15\n",
        ),
        (
            "import random, string, copy\nfrom typing import List\n"
            "def f(a: List[int]) -> int:\n    b = copy.deepcopy(a)\n    return sum(b)\n"
            "print(f([int(c) for c in input() if c in string.digits]))",
            "a1b2c3\n",
            "6\n",
        ),
    ],
}
POLL_S = 0.1


def plain_run(program: str, stdin: str, *options: str) -> bytes:
    """Run a program as a subprocess."""
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, input=stdin.encode(), capture_output=True).stdout


def upstream_run(program: str, stdin: str) -> bytes:
    """Run a program as Affine's executor does."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(program)
    try:
        return _upstream_process(file.name, stdin)
    finally:
        os.remove(file.name)


def _upstream_process(path: str, stdin: str) -> bytes:
    process = subprocess.Popen(
        [sys.executable, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=_upstream_limits,
    )
    with contextlib.suppress(OSError):  # it comes too late once the interpreter runs
        os.setpgid(process.pid, process.pid)
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    texts: dict[Any, list[str]] = {process.stdout: [], process.stderr: []}
    start = time.time()
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        while time.time() - start < 30:
            for key, _ in selector.select(timeout=POLL_S):
                line = key.fileobj.readline()  # type: ignore[union-attr]
                if line:
                    texts[key.fileobj].append(line)
                else:
                    selector.unregister(key.fileobj)
            if process.poll() is not None and not selector.get_map():
                break
    for stream in texts:
        stream.close()
    return "".join(texts[process.stdout]).encode()


def _upstream_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (10, 11))
    resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Measure every case and print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="finish within a minute")
    parser.add_argument("--repeats", type=int, help="rounds, in which each side has its turn")
    arguments = parser.parse_args()
    repeats = arguments.repeats or (5 if arguments.quick else 11)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.chdir(Path(__file__).resolve().parent)
    results = []
    with Sandbox(1) as sandbox:
        print(f"layers: {sandbox.layers}")
        peers: dict[str, Run] = {
            "subprocess.run": plain_run,
            "subprocess.run -I -S": lambda *run: plain_run(*run, "-I", "-S"),
            "upstream's executor": upstream_run,
        }
        sides = {"ours": partial(guarded_runs, sandbox)} | {
            name: partial(separate_runs, run) for name, run in peers.items()
        }
        for name, cases in CASES.items():
            results += measured(name, cases, sides, repeats, 0.4 if arguments.quick else 2.0)
    print(json.dumps(results))


def measured(
    name: str, cases: list[Case], sides: dict[str, Side], repeats: int, turn_s: float
) -> list[dict[str, object]]:
    """Give each side its turn in each round; compare the rates of a round with each other."""
    for side in sides.values():
        rate(side, cases, 0.2)
    rounds = [
        {side: rate(run, cases, turn_s) for side, run in sides.items()} for _ in range(repeats)
    ]
    rows = []
    for peer in list(sides)[1:]:
        ratios = [one["ours"] / one[peer] for one in rounds]
        row = {
            "name": "sandbox",
            "case": f"{name}, against {peer}",
            "ours": round(statistics.median(one["ours"] for one in rounds), 1),
            "peer": round(statistics.median(one[peer] for one in rounds), 1),
            "unit": "runs/s",
            "ratio": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
            "repeats": repeats,
            "clock": "wall",
        }
        print(
            f"{row['case']}: {row['ours']} against {row['peer']} runs/s, {row['ratio']}x "
            f"({row['ratio_min']} to {row['ratio_max']})",
            flush=True,
        )
        rows.append(row)
    return rows


def guarded_runs(sandbox: Sandbox, cases: Sequence[Case]) -> list[bytes]:
    """Make runs in a batch of our sandbox."""
    batch = (list(cases) * BATCH)[:BATCH]
    results = sandbox.run_many([(program, stdin) for program, stdin, _ in batch])
    return [result.stdout for result in results if result]


def separate_runs(run: Run, cases: Sequence[Case]) -> list[bytes]:
    """Make one run."""
    program, stdin, _ = cases[0]
    return [run(program, stdin)]


def rate(side: Side, cases: list[Case], seconds: float) -> float:
    """Runs per second, over all cases in turn, for at least so long."""
    number, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        place = number % len(cases)
        turned = cases[place:] + cases[:place]
        printed = side(turned)
        expected = [turned[n % len(cases)][2].encode() for n in range(len(printed))]
        assert list(printed) == expected, printed
        number += len(printed)
    return number / elapsed


if __name__ == "__main__":
    main()
