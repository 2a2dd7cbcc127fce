"""Datasets by Ray Data on two cores: rows a second, what a second worker adds, and peak memory.

    python bench/datagen_scale.py [--quick] [--repeats N]

Everything is measured up to the dataset on disk (draw, claim, Parquet, fsync, hashes, manifest) on
a Ray that is up and whose workers are warm: 1,000,000 SAT rows (n=20, k=3) and 20,000 ABD rows
(level easy), with shards of 65,536 and 2,048 rows. Scaling compares one worker with two, in turns;
the driver has the other core beside a single worker. Memory is the largest sum of proportional set
sizes, each half a second, of the driver and the workers (Ray's own servers are left out), for the
whole and for a quarter: it may not grow but by eight bytes a row. Rates are by the wall clock:
nothing else may run. What is not covered: several nodes, shared disks.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # on loopback; Ray reads it as it is imported

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psutil

from datagen.blocks.build import build_in_blocks
from datagen.config import AbdConfig, SatConfig
from orchestrator.config import ResourcesConfig
from orchestrator.generation.ray_run import RayRun
from orchestrator.progress import Progress
from orchestrator.quiet import prepare_environment
from orchestrator.ray_session import ray_session

WORKERS = 2


@dataclass(frozen=True)
class Case:
    """A task, its whole number of rows, and the rows of a shard and of a block."""

    task: str
    num_rows: int
    shard_rows: int
    block_problems: int | None = None

    def config(self, num_rows: int) -> SatConfig | AbdConfig:
        """The config of so many rows."""
        more: dict[str, Any] = {"splits": {"train": num_rows}, "shard_rows": self.shard_rows}
        if self.task == "sat":
            return SatConfig.model_validate({"sizes": [{"n": 20, "k": 3}], **more})
        programs = {"type": "procedural", "levels": [{"level": "easy"}]}
        return AbdConfig.model_validate({"programs": programs, **more})


CASES = (Case("sat", 1_000_000, 65_536), Case("abd", 20_000, 2048))
QUICK = (Case("sat", 120_000, 8192, 4096), Case("abd", 2400, 256, 100))


@dataclass(frozen=True)
class Measured:
    """One dataset made."""

    rows_per_s: float
    peak_mb: float


@contextmanager
def sampled_memory(wanted: bool) -> Iterator[list[int]]:
    """Collect, each half a second, the bytes of this process and of Ray's workers."""
    samples: list[int] = []
    ended = threading.Event()
    if not wanted:  # looking takes time, too
        yield samples
        return

    def sample() -> None:
        while not ended.wait(0.5):
            samples.append(sum(map(_pss, _ours())))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _ours() -> list[psutil.Process]:
    own = psutil.Process()
    workers = [p for p in own.children(recursive=True) if "ray::" in _name(p)]
    return [own, *workers]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def measure(
    case: Case, num_rows: int, workers: int, seed: int, *, memory: bool = False
) -> Measured:
    """Make a dataset of so many rows, and forget it; memory is measured only if asked for."""
    sizes = {case.task: case.block_problems} if case.block_problems else None
    with tempfile.TemporaryDirectory() as folder, sampled_memory(memory) as samples:
        began = time.perf_counter()
        build_in_blocks(
            case.config(num_rows), Path(folder) / "d", seed, RayRun(workers), block_problems=sizes
        )
        took = time.perf_counter() - began
    return Measured(num_rows / took, max(samples, default=0) / 2**20)


def scaling(case: Case, repeats: int) -> dict[str, Any]:
    """One worker and two, in turns."""
    rows: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(repeats):
        for workers in (1, WORKERS):
            rows[workers].append(measure(case, case.num_rows, workers, seed=repeat).rows_per_s)
    ratios = [two / one for one, two in zip(rows[1], rows[2], strict=True)]
    ours, peer = statistics.median(rows[2]), statistics.median(rows[1])
    name = f"{case.task}, {case.num_rows:,} rows: 2 workers against 1"
    print(f"{name}: {ours:,.0f} against {peer:,.0f} rows/s, {statistics.median(ratios):.2f}x")
    return result(name, ours, peer, "rows/s", ratios, "wall")


def whole(case: Case) -> list[dict[str, Any]]:
    """A quarter of the rows and all of them, with two workers."""
    few = measure(case, case.num_rows // 4, WORKERS, seed=0, memory=True)
    many = measure(case, case.num_rows, WORKERS, seed=0, memory=True)
    sizes = f"{case.num_rows:,} rows against {case.num_rows // 4:,}"
    print(
        f"{case.task}, {sizes}, 2 workers: {many.rows_per_s:,.0f} against {few.rows_per_s:,.0f} "
        f"rows/s; peak {many.peak_mb:,.0f} against {few.peak_mb:,.0f} MiB"
    )
    speed = [many.rows_per_s / few.rows_per_s]
    memory = [few.peak_mb / many.peak_mb]
    return [
        result(f"{case.task}, {sizes}", many.rows_per_s, few.rows_per_s, "rows/s", speed, "wall"),
        result(f"{case.task}, {sizes}: peak", many.peak_mb, few.peak_mb, "MiB", memory, "wall"),
    ]


def result(
    case: str, ours: float, peer: float, unit: str, ratios: list[float], clock: str
) -> dict[str, Any]:
    """One line of results."""
    return {
        "name": "datagen_scale",
        "case": case,
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "unit": unit,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "repeats": len(ratios),
        "clock": clock,
    }


def main() -> None:
    """Measure both tasks and print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="finish within a minute")
    parser.add_argument("--repeats", type=int, help="pairs of measurements of the scaling")
    arguments = parser.parse_args()
    repeats = arguments.repeats or (1 if arguments.quick else 3)
    prepare_environment()
    rows = []
    resources = ResourcesConfig(num_workers=WORKERS)
    with Progress(StringIO()) as progress, ray_session(resources, verbose=False, progress=progress):
        for case in QUICK if arguments.quick else CASES:
            measure(case, case.num_rows // 8, WORKERS, seed=99)  # the workers start
            rows.append(scaling(case, repeats))
            rows += whole(case)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
