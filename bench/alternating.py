"""Measure our step and a peer trainer's in turns, in one process, and print what came out.

After each step of the peer (a transformers Trainer) comes one of ours, so that whatever else the
machine does meets both alike. The clock is the process's CPU time; wall times are printed beside.
"""

import contextlib
import json
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import datasets
import torch
from transformers import TrainerCallback
from transformers.utils import logging as transformers_logging

from trainers.runtime import prepare_torch


@dataclass
class Timed:
    """CPU and wall seconds of one side's steps."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def add(self, started: tuple[float, float]) -> None:
        """Add a step that began at `started`, as `now` told it."""
        cpu, wall = now()
        self.cpu.append(cpu - started[0])
        self.wall.append(wall - started[1])


class Alternating(TrainerCallback):
    """Times each step of the peer and runs one of ours after it; the first few are left out."""

    def __init__(self, our_step: Callable[[int], None], warmup: int) -> None:
        self.our_step, self.warmup = our_step, warmup
        self.ours, self.peer = Timed(), Timed()
        self._started = (0.0, 0.0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Start the peer's clock."""
        self._started = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Stop it, and take a step of ours."""
        warm = state.global_step > self.warmup
        if warm:
            self.peer.add(self._started)
        with our_settings():
            started = now()
            self.our_step(state.global_step - 1)
            if warm:
                self.ours.add(started)


def now() -> tuple[float, float]:
    """CPU seconds of the process, and wall seconds."""
    return time.process_time(), time.perf_counter()


@contextlib.contextmanager
def our_settings() -> Iterator[None]:
    """Set torch up as our workers do, and as it was for the peer afterwards."""
    prepare_torch(1)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the peer's advice out of the output."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    datasets.disable_progress_bars()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


PEER_SETTINGS: dict[str, Any] = {
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}
"""What a measurement asks of a trainer beside the settings that are compared."""


def result(
    name: str, case: str, clock: Alternating, amount: float = 0.0, unit: str = "s/step"
) -> dict[str, Any]:
    """One line of results; with `amount`, of so much done in a second."""
    ratios = [peer / ours for ours, peer in zip(clock.ours.cpu, clock.peer.cpu, strict=True)]
    ours, peer = statistics.median(clock.ours.cpu), statistics.median(clock.peer.cpu)
    wall = [statistics.median(side.wall) for side in (clock.ours, clock.peer)]
    print(
        f"{case}: CPU {ours:.3f} against {peer:.3f} s a step, {peer / ours:.2f}x "
        f"({min(ratios):.2f} to {max(ratios):.2f}); wall {wall[0]:.3f} against {wall[1]:.3f} s"
    )
    return {
        "name": name,
        "case": case,
        "ours": amount / ours if amount else ours,
        "peer": amount / peer if amount else peer,
        "unit": unit,
        "ratio": peer / ours,
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "repeats": len(ratios),
        "clock": "cpu",
    }


def print_results(rows: list[dict[str, Any]]) -> None:
    """End with the one line that machines read."""
    rounded = [
        {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()} for row in rows
    ]
    print(json.dumps(rounded))
