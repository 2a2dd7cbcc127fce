"""Many good and hostile runs, and what they leave behind: processes, files, memory.

python -m tests.security.soak [NUM_RUNS]
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from reward_fns.sandbox import Limits, Sandbox
from tests.security.attack import ACHIEVED, Attack
from tests.security.attack_driver import children_of
from tests.security.attacks import ATTACKS
from tests.security.scene import SECRET, Scene

GOOD = "n = int(input())\nprint(sum(x * x for x in range(n)), {'b', 'a', n})"
SLOW = "while True:\n    pass"
BATCH = 100
_LIMITS = Limits(wall_s=10.0, memory_bytes=64 << 20)
_SLOW_LIMITS = Limits(wall_s=0.05)
_QUICK = [attack for attack in ATTACKS if "timeout" not in attack.statuses]


@dataclass(frozen=True)
class Left:
    """What there is at one moment."""

    processes: int
    descriptors: int
    client_bytes: int
    server_bytes: int


@dataclass(frozen=True)
class Soaked:
    """What came of a soak."""

    wrong: list[str]
    before: Left
    after: Left
    num_runs: int
    wall_s: float


def soak(num_runs: int, scene: Scene, num_servers: int = 2, seed: int = 0) -> Soaked:
    """Run batches of which a third is hostile; memory is compared from a tenth of the way on."""
    coins, done, start = random.Random(seed), 0, time.monotonic()
    wrong: list[str] = []
    before = None
    with Sandbox(num_servers) as sandbox:
        while done < num_runs:
            wrong += _one_batch(sandbox, scene, coins, min(BATCH, num_runs - done))
            done += min(BATCH, num_runs - done)
            if before is None and done >= num_runs / 10:
                before = left(sandbox)
        assert before is not None
        after = left(sandbox)
        if sandbox.counts["restarts"] or sandbox.counts["sandbox_error"]:
            wrong.append(f"{sandbox.counts}")
    return Soaked(wrong, before, after, num_runs, time.monotonic() - start)


def _one_batch(sandbox: Sandbox, scene: Scene, coins: random.Random, number: int) -> list[str]:
    """Run a batch; returns what is wrong with it."""
    target = json.dumps(scene.description())
    asked = [
        coins.choice(_QUICK) if coins.random() < 1 / 3 else coins.randrange(1000)
        for _ in range(number)
    ]
    runs = [(one.program, target) if isinstance(one, Attack) else (GOOD, str(one)) for one in asked]
    results = sandbox.run_many(runs, _LIMITS)
    wrong = [
        f"{one}: {result}"
        for one, result in zip(asked, results, strict=True)
        if result is None or not _is_right(one, result.stdout)
    ]
    slow = sandbox.run(SLOW, limits=_SLOW_LIMITS)
    return [*wrong, *scene.damage(), *([] if slow.status == "timeout" else [str(slow)])]


def _is_right(one: Attack | int, stdout: bytes) -> bool:
    if isinstance(one, Attack):
        return ACHIEVED.encode() not in stdout
    return stdout.startswith(b"%d " % sum(x * x for x in range(one)))


def left(sandbox: Sandbox) -> Left:
    """Count what this process and its servers hold."""
    pid = os.getpid()
    servers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Left(
        processes=children_of(pid),
        descriptors=len(os.listdir("/proc/self/fd")),
        client_bytes=_resident(pid),
        server_bytes=sum(_resident(int(server)) for server in servers),
    )


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """Soak in a process of its own, and print what is left as a line of JSON."""
    os.environ["CLUTCH_TEST_SECRET"] = SECRET
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        soaked = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, scene)
        scene.close()
    closed = {"processes_after_closing": children_of(os.getpid())}
    print(json.dumps(asdict(soaked) | closed))


if __name__ == "__main__":
    main()
