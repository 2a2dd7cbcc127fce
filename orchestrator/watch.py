"""What the driver shows and tracks while the workers train, read from the run's folder."""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from datagen.whole_file import DamageError
from orchestrator.progress import Progress, Status, Task, status_of
from orchestrator.signals import Signals
from orchestrator.tracking import Tracker
from trainers.journal import chain_before, read_chained

SHOWN = {
    "reward/mean": "reward",
    "validation/solved": "validation",
    "loss/train": "loss",
    "loss/policy": "loss",
    "policy/entropy": "entropy",
    "groups/zero_variance": "zero_variance",
}
"""Metrics that are shown with a stage, the most telling first, and their short names."""
CUT_TO_FIT = {
    "data/prompts_dropped": "prompts were too long and are left out (long_prompts)",
    "data/prompts_truncated": "prompts were too long and lost their beginning (long_prompts)",
    "data/completions_truncated": "completions were cut to max_completion_length",
}
"""What a stage did to its data, told once."""


class Tail:
    """The rows of a JSONL file that are new since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0
        self._chain = b""

    def rows(self) -> list[dict[str, Any]]:
        """Return the whole lines that were not returned before, up to one that was changed.

        A resumed stage cuts the file back: where the last line that was read no longer stands, all
        lines are returned again. The tracker knows what it has seen.
        """
        if not self._path.is_file():
            return []
        if chain_before(self._path, self._end) != self._chain:
            self._end, self._chain = 0, b""
        rows = []
        with suppress(DamageError):  # The worker that appends says so.
            for line in read_chained(self._path, self._end):
                rows.append(line.row)
                self._end, self._chain = line.end, line.chain
        return rows


class TrainingWatch:
    """Follows progress.json, metrics.jsonl and timings.jsonl; one step is shown at a time."""

    def __init__(self, folder: Path, progress: Progress, tracker: Tracker) -> None:
        self._metrics = Tail(folder / "metrics.jsonl")
        self._timings = Tail(folder / "timings.jsonl")
        self._progress, self._tracker = progress, tracker
        self._figures: dict[str, dict[str, float]] = {}
        """The newest of each stage."""
        self._awaited: str | None = None
        self._wait = ExitStack()
        self._stopping: str | None = None
        self._task: Task | None = None
        self._done: set[str] = set()
        self._told: set[str] = set()
        self._signals = Signals(folder)
        self._noted: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._read_metrics()
        self._await(None)
        self._end(status_of(error))

    def look(self, now: dict[str, Any] | None) -> None:
        """Show what the workers say they do, and pass new metrics on."""
        self._read_metrics()
        for line in (self._signals.read(self._signals.notes) or {}).get("lines", ()):
            if line not in self._noted:
                self._noted.add(line)
                self._progress.note(line)
        what = "the workers to start" if now is None else str(now["what"])
        if what.startswith("stopping"):
            self._stopping = what
        for step in (now or {}).get("finished", ()):
            self._finish(step, what)
        counted = now is not None and bool(now["total"])
        self._await(self._stopping or (None if counted else what))
        if now is None or not counted:
            return
        if self._task is None or self._task.name != what:
            self._end("stopped")  # a worker was lost: the step goes on from its saved state
            self._task = self._progress.begin(what, int(now["total"]), done=int(now["done"]))
        self._task.update(int(now["done"]), **self._figures_of(self._task))

    def _await(self, what: str | None) -> None:
        """Show what is awaited, beside a step that has not ended."""
        if what != self._awaited:
            self._wait.close()
            self._awaited, self._wait = what, ExitStack()
            if what is not None:
                self._wait.enter_context(self._progress.waiting(what))

    def _finish(self, step: dict[str, Any], what: str) -> None:
        """End a step that the workers have left, also one too short to have been seen."""
        name, total = str(step["what"]), int(step["total"])
        if name in self._done or name == what:
            return
        self._done.add(name)
        if self._task is None or self._task.name != name:
            self._end("stopped")
            self._task = self._progress.begin(name, total, ago_s=step["took_s"])
        self._task.done = total
        self._end("done")

    def _end(self, status: Status) -> None:
        if self._task is not None:
            self._task.update(self._task.done, **self._figures_of(self._task))
            self._progress.end(self._task, status)
            self._task = None

    def _figures_of(self, task: Task) -> dict[str, float]:
        found = self._figures.get(task.name.removeprefix("train "), {})
        return {name: found[name] for name in SHOWN.values() if name in found}

    def _read_metrics(self) -> None:
        """Send rows that are new since the last look to the tracker, and keep what is shown."""
        rows = self._metrics.rows()
        self._tracker.log_metrics([_of_time(row) for row in self._timings.rows()])
        if rows:
            self._tracker.log_metrics(rows)
            self._tell(rows[-1])
        for row in rows:
            shown = {k: round(row[name], 4) for name, k in SHOWN.items() if name in row}
            self._figures.setdefault(str(row["stage"]), {}).update(shown)

    def _tell(self, row: dict[str, Any]) -> None:
        stage = str(row["stage"])
        if stage in self._told:
            return
        self._told.add(stage)
        for name, what in CUT_TO_FIT.items():
            if row.get(name):
                self._progress.note(f"{stage}: {row[name]:,.0f} {what}")


def _of_time(row: dict[str, Any]) -> dict[str, Any]:
    """A row of timings as the tracker takes it, under names of its own."""
    seconds = {name: value for name, value in row.items() if name not in ("stage", "step", "time")}
    return {"stage": f"{row['stage']}/time", "step": row["step"], **seconds}
