"""The files that a stage appends to, and how they are cut back when it resumes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from datagen.whole_file import DamageError, read_sealed, seal_json
from trainers.folders import write_text
from trainers.journal import Journal, read_chained
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
        self._start_file = run.state_root(stage) / "start.json"
        folder = self._folder()
        self._journals: dict[str, Journal] = {}
        if run.workers.is_first:
            self._journals["metrics"] = Journal(folder / "metrics.jsonl")
            self._journals["timings"] = Journal(folder / "timings.jsonl")
        self._rollouts: RolloutLog | None = None
        if with_rollouts:
            path = folder / "rollouts" / f"{stage}-rank{run.workers.rank}.jsonl"
            self._rollouts = RolloutLog(path)
            self._journals["rollouts"] = self._rollouts
        self._started = time.perf_counter()
        self._cpu_started = time.process_time()

    def _folder(self) -> Path:
        """The run's folder, or one that is removed with the stage's state.

        A stage that is trained again because its checkpoint was damaged repeats the lines that it
        has written before. Where those of a later stage follow them, they cannot be cut off.
        """
        lines = intact_rows(self.run.folder / "metrics.jsonl") if self.run.workers.is_first else ()
        order = list(dict.fromkeys(row["stage"] for row in lines))
        again = self.stage in order and order[-1] != self.stage
        return (
            self._start_file.parent / "again" if self.run.workers.first(again) else self.run.folder
        )

    def intact(self) -> list[dict[str, tuple[int, str]]]:
        """Return up to which offset lines are right, and why no further, of each worker's files."""
        mine = {name: (j.intact, j.why_no_further) for name, j in self._journals.items()}
        return self.run.workers.gather(mine)

    def start(self) -> dict[str, int]:
        """Return this worker's offsets from when the stage first started, writing them down once.

        Where that was lost, the stage's own lines tell.
        """
        workers, path, saved = self.run.workers, self._start_file, None
        if workers.is_first and path.exists():
            try:
                saved = read_sealed(path, "where the stage began is read from metrics.jsonl")
            except DamageError as error:
                self.run.note(str(error))
        saved = workers.first(saved)
        if saved is None:
            saved = {"workers": workers.gather(self._starts())}
            if workers.is_first:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, seal_json(saved))
        mine: dict[str, int] = saved["workers"][workers.rank]
        return mine

    def _starts(self) -> dict[str, int]:
        """Where the lines of this stage begin in each file; rollouts have files of their own."""
        return {
            name: 0 if name == "rollouts" else _start_of(self.stage, journal.path)
            for name, journal in self._journals.items()
        }

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


def intact_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a journal up to the first that was changed; none where there is no file."""
    with suppress(DamageError, FileNotFoundError):
        for line in read_chained(path):
            yield line.row


def _start_of(stage: str, path: Path) -> int:
    """Return where the first row of a stage begins, or else the end; DamageError as usual."""
    end = 0
    for line in read_chained(path):
        if line.row["stage"] == stage:
            break
        end = line.end
    return end
