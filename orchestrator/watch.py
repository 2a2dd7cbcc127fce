"""What the driver shows and tracks while the workers train, read from the run's folder."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from orchestrator.progress import Progress, Task
from orchestrator.tracking import Tracker

SHOWN = {
    "loss/train": "loss",
    "loss/policy": "loss",
    "reward/mean": "reward",
    "policy/entropy": "entropy",
    "groups/zero_variance": "zero_variance",
    "validation/solved": "validation",
}
"""Metrics that stand beside a stage's bar, and their short names."""
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
        self._last = b""

    def rows(self) -> list[dict[str, Any]]:
        """Return the whole lines that were not returned before.

        A resumed stage cuts the file back: where the last line that was read no longer stands, all
        lines are returned again. The tracker knows what it has seen.
        """
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._end - len(self._last))
            if file.read(len(self._last)) != self._last:
                self._end, self._last = 0, b""
                file.seek(0)
            content = file.read()
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        self._end += sum(map(len, lines))
        self._last = lines[-1] if lines else self._last
        return [json.loads(line) for line in lines]


class TrainingWatch:
    """Follows progress.json, metrics.jsonl and timings.jsonl; one task is shown at a time."""

    def __init__(self, folder: Path, progress: Progress, tracker: Tracker) -> None:
        self._metrics = Tail(folder / "metrics.jsonl")
        self._timings = Tail(folder / "timings.jsonl")
        self._progress, self._tracker = progress, tracker
        self._shown: str | None = None
        self._task: Task | None = None
        self._stack = ExitStack()
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._read_metrics()
        self._stack.close()

    def look(self, now: dict[str, Any] | None) -> None:
        """Show what the workers say they do, and pass new metrics on."""
        what = "the workers to start" if now is None else str(now["what"])
        if what != self._shown:
            self._stack.close()
            self._shown, self._stack = what, ExitStack()
            total = int(now["total"]) if now and now["total"] else None
            done = int(now["done"]) if now else 0
            if total is None:
                self._stack.enter_context(self._progress.waiting(what))
                self._task = None
            else:
                task = self._progress.task(what, total, done=done)
                self._task = self._stack.enter_context(task)
        figures = self._read_metrics()
        if self._task is not None and now is not None:
            self._task.update(int(now["done"]), **figures)
        if now is not None and now["total"] and self._task is None:
            self._shown = None  # The same step now knows its total: show it as a bar.

    def _read_metrics(self) -> dict[str, float]:
        """Send rows that are new since the last look to the tracker; return what to show."""
        rows = self._metrics.rows()
        self._tracker.log_metrics([_of_time(row) for row in self._timings.rows()])
        if not rows:
            return {}
        self._tracker.log_metrics(rows)
        self._tell(rows[-1])
        return {
            short: round(rows[-1][name], 4) for name, short in SHOWN.items() if name in rows[-1]
        }

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
