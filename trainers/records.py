"""The files that a stage appends to, and how they are cut back when it resumes."""

import json
import time
from pathlib import Path
from typing import Any

from trainers.folders import write_text
from trainers.journal import Journal
from trainers.metrics import Means
from trainers.rollout_log import Rollout, RolloutLog
from trainers.run import Run


class StageRecords:
    """Metrics and times on the first worker, and each worker's own rollouts.

    `metrics.jsonl` holds what is the same in every repetition; times are in `timings.jsonl`.
    """

    def __init__(self, run: Run, stage: str, with_rollouts: bool) -> None:
        self.run = run
        self.stage = stage
        self._journals: dict[str, Journal] = {}
        if run.workers.is_first:
            self._journals["metrics"] = Journal(run.folder / "metrics.jsonl")
            self._journals["timings"] = Journal(run.folder / "timings.jsonl")
        self._rollouts: RolloutLog | None = None
        if with_rollouts:
            path = run.folder / "rollouts" / f"{stage}-rank{run.workers.rank}.jsonl"
            self._rollouts = RolloutLog(path)
            self._journals["rollouts"] = self._rollouts
        self._started = time.perf_counter()
        self._cpu_started = time.process_time()

    def offsets(self) -> dict[str, int]:
        """Return where this worker's files end, after making them durable."""
        for journal in self._journals.values():
            journal.sync()
        return {name: journal.offset for name, journal in self._journals.items()}

    def cut_back(self, offsets: dict[str, int]) -> None:
        """Drop what was appended after `offsets` were taken."""
        for name, journal in self._journals.items():
            journal.truncate(offsets.get(name, 0))

    def append_rollouts(self, rollouts: list[Rollout]) -> None:
        """Keep sampled completions."""
        assert self._rollouts is not None, "this stage was opened without rollouts"
        self._rollouts.append_rollouts(rollouts)

    def log(self, step: int, means: Means, times: Means) -> dict[str, Any]:
        """Write one row of metrics and one of times; return the metrics, on every worker."""
        workers = self.run.workers
        row = {"stage": self.stage, "step": step, **means.take(workers)}
        seconds = times.take(workers)
        if workers.is_first:
            self._journals["metrics"].append([row])
            self._journals["timings"].append([self._times(step, seconds)])
            self._journals["metrics"].flush()
            self._journals["timings"].flush()
        return row

    def _times(self, step: int, seconds: dict[str, float]) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "step": step,
            "time": time.time(),
            "wall_s": time.perf_counter() - self._started,
            "cpu_s": time.process_time() - self._cpu_started,
            **seconds,
        }

    def close(self) -> None:
        """Flush and close all files."""
        for journal in self._journals.values():
            journal.close()


def start_offsets(path: Path, run: Run, offsets: dict[str, int]) -> dict[str, int]:
    """Return this worker's offsets from when the stage first started, writing them down once."""
    everyone = run.workers.gather(offsets)
    if run.workers.is_first and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(everyone))
    run.workers.barrier()
    saved: dict[str, int] = json.loads(path.read_text())[run.workers.rank]
    return saved
