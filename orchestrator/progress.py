"""How far a run is: bars on a terminal, else one plain `key=value` line every 30 seconds.

    with Progress() as progress:
        with progress.waiting("Ray to start"):
            ...
        with progress.task("generate sat/train", total=40_000) as task:
            task.update(1_200, reward=0.31)

Everything goes to stderr, so that stdout holds results only. Off a terminal a thread of its own
writes the lines, also while something is awaited or stalled, and the line names it.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

Figure = int | float | str


@dataclass(eq=False)
class Task:
    """Something that is counted; `update` and `advance` may be called from any thread."""

    name: str
    total: int | None
    done: int
    _show: "_Show"
    _clock: Callable[[], float]
    figures: dict[str, Figure] = field(default_factory=dict)
    _began: float = 0.0
    _first: int = 0

    def __post_init__(self) -> None:
        self._began, self._first = self._clock(), self.done

    def update(self, done: int, **figures: Figure) -> None:
        """Say how many are done in all, and any figures to show beside it."""
        self.done = done
        self.figures = {**self.figures, **figures}
        self._show.changed(self)

    def began(self, moment: float) -> None:
        """Say when the work on it began, where that was before it was shown."""
        self._began = moment

    def advance(self, count: int = 1, **figures: Figure) -> None:
        """Say that `count` more are done."""
        self.update(self.done + count, **figures)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the task began here."""
        return self._clock() - self._began

    @property
    def rate_per_s(self) -> float | None:
        """Done per second since the task began here; None before anything is done."""
        made, took = self.done - self._first, self.elapsed_s
        return made / took if made > 0 and took > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds left at the rate so far; None while it is not known."""
        rate = self.rate_per_s
        return None if rate is None or self.total is None else (self.total - self.done) / rate


class _Show(Protocol):
    """Where progress is shown."""

    def began(self, what: Task) -> None: ...
    def changed(self, what: Task) -> None: ...
    def ended(self, what: Task, failed: bool) -> None: ...
    def note(self, line: str) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Progress:
    """Shows tasks and what is awaited; use it as a context manager around a command's work."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        interval_s: float = 30.0,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show on `stream` (stderr), with bars if it is a terminal, else lines each interval."""
        stream = stream if stream is not None else sys.stderr
        terminal = stream.isatty() if terminal is None else terminal
        self._clock = clock
        self._show: _Show = _Terminal(stream) if terminal else _Lines(stream, interval_s, clock)

    def __enter__(self) -> Self:
        self._show.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._show.stop()

    @contextmanager
    def task(self, name: str, total: int | None = None, *, done: int = 0) -> Iterator[Task]:
        """Count something; `done` is what an earlier, interrupted start had done already."""
        task = Task(name, total, done, self._show, self._clock)
        with self._shown(task):
            yield task

    @contextmanager
    def waiting(self, cause: str) -> Iterator[None]:
        """Say what is awaited while the block runs."""
        with self._shown(_Wait(cause, None, 0, self._show, self._clock)):
            yield

    @contextmanager
    def parts(self, name: str) -> Iterator[Callable[[str, int, int], None]]:
        """Yield a `count(part, done, total)`; parts that come one after another are tasks."""
        with ExitStack() as stack:
            stack.enter_context(self.waiting(name))
            tasks: dict[str, Task] = {}
            told = self._clock()

            def count(part: str, done: int, total: int) -> None:
                nonlocal told
                if part in tasks and tasks[part].done >= total:
                    return
                if part not in tasks:
                    stack.close()
                    tasks[part] = stack.enter_context(self.task(f"{name}/{part}", total))
                    tasks[part].began(told)
                told = self._clock()
                tasks[part].update(done)
                if done >= total:
                    stack.close()
                    stack.enter_context(self.waiting(name))

            yield count

    def note(self, line: str) -> None:
        """Write one line for the reader, above any bars."""
        self._show.note(line)

    @contextmanager
    def _shown(self, what: Task) -> Iterator[None]:
        self._show.began(what)
        failed = True
        try:
            yield
            failed = False
        finally:
            self._show.ended(what, failed)


class _Wait(Task):
    """Something that is awaited, and cannot be counted."""


class _Lines:
    """Plain lines for logs: one each interval, and one as each task ends."""

    def __init__(self, stream: TextIO, interval_s: float, clock: Callable[[], float]) -> None:
        self._stream, self._interval_s, self._clock = stream, interval_s, clock
        self._began = clock()
        self._lock = threading.Lock()
        self._active: list[Task] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def began(self, what: Task) -> None:
        with self._lock:
            self._active.append(what)

    def changed(self, what: Task) -> None:
        pass  # the next line tells

    def ended(self, what: Task, failed: bool) -> None:
        with self._lock:
            self._active.remove(what)
        if not isinstance(what, _Wait):
            self.note(key_values({**_figures(what), "status": "failed" if failed else "done"}))

    def note(self, line: str) -> None:
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self._stopped.set()  # the reader has gone: work goes on without lines

    def _beat(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self.note(self._line())

    def _line(self) -> str:
        with self._lock:
            active = list(self._active)
        tasks = [a for a in active if not isinstance(a, _Wait)]
        waits = [a for a in active if isinstance(a, _Wait)]
        pairs: dict[str, Figure] = {"elapsed_s": round(self._clock() - self._began)}
        if tasks:
            pairs |= _figures(tasks[-1])
        if waits:
            pairs |= {"waiting_for": waits[-1].name, "waited_s": round(waits[-1].elapsed_s)}
        return key_values(pairs if active else {**pairs, "status": "working"})


def _figures(task: Task) -> dict[str, Figure]:
    pairs: dict[str, Figure] = {"task": task.name, "done": task.done}
    if task.total is not None:
        pairs["total"] = task.total
    if task.rate_per_s is not None:
        pairs["rate_per_s"] = task.rate_per_s
    if task.left_s is not None:
        pairs["left_s"] = round(task.left_s)
    return {**pairs, "task_s": round(task.elapsed_s, 1), **task.figures}


def key_values(pairs: dict[str, Figure]) -> str:
    """One `key=value` line; text with blanks, quotes or control characters is quoted."""
    return " ".join(f"{key}={_shown_value(value)}" for key, value in pairs.items())


def _shown_value(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    text = str(value)
    plain = text and not any(c.isspace() or c in "\"'=\\" or not c.isprintable() for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


class _Terminal:
    """Bars with counts, rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        self._bars = Bars(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", style="cyan"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=Console(file=stream, force_terminal=True),
        )
        self._ids: dict[int, TaskID] = {}

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self._bars.stop()

    def began(self, what: Task) -> None:
        name = f"waiting for {what.name}" if isinstance(what, _Wait) else what.name
        self._ids[id(what)] = self._bars.add_task(
            escape(name), total=what.total, completed=what.done, figures=""
        )

    def changed(self, what: Task) -> None:
        rate = what.rate_per_s
        shown = {"rate": f"{_shown_value(rate)}/s"} if rate is not None else {}
        line = " ".join(f"{k}={_shown_value(v)}" for k, v in {**shown, **what.figures}.items())
        self._bars.update(self._ids[id(what)], completed=what.done, figures=escape(line))

    def ended(self, what: Task, failed: bool) -> None:
        row = self._ids.pop(id(what))
        if isinstance(what, _Wait):
            self._bars.remove_task(row)
            return
        self._bars.stop_task(row)

    def note(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
