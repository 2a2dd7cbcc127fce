"""How far a run is: live lines on a terminal, else one plain `key=value` line every 30 seconds.

    with Progress() as progress:
        with progress.waiting("Ray to start"):
            ...
        with progress.task("generate sat/train", total=40_000) as task:
            task.update(1_200, reward=0.31)

Everything goes to stderr, so that stdout holds results only; they are printed after the display has
been closed, since it erases what stands below its last finished line. Off a terminal a thread of
its own writes the lines, also while something is awaited or stalled, and the line names it.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Figure = int | float | str
Status = Literal["done", "stopped", "failed"]
STATUS_STYLES: dict[Status, str] = {"done": "green", "stopped": "yellow", "failed": "red"}


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
        self.figures = {**figures, **{k: v for k, v in self.figures.items() if k not in figures}}
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
    def ended(self, what: Task, status: Status) -> None: ...
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
        """Show on `stream` (stderr), live if it is a terminal, else by lines each interval."""
        stream = stream if stream is not None else sys.stderr
        terminal = stream.isatty() if terminal is None else terminal
        self._clock = clock
        self._open = False
        self._show: _Show = _Terminal(stream) if terminal else _Lines(stream, interval_s, clock)

    def __enter__(self) -> Self:
        self._open = True
        self._show.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the display; what is printed from then on stays on the screen."""
        if self._open:
            self._open = False
            self._show.stop()

    @contextmanager
    def task(self, name: str, total: int | None = None, *, done: int = 0) -> Iterator[Task]:
        """Count something; `done` is what an earlier, interrupted start had done already."""
        task = self.begin(name, total, done=done)
        with self._until_ended(task):
            yield task

    def begin(
        self, name: str, total: int | None = None, *, done: int = 0, ago_s: float = 0.0
    ) -> Task:
        """Count something, begun `ago_s` seconds ago, whose end is told by `end`."""
        task = Task(name, total, done, self._show, self._clock)
        task.began(self._clock() - ago_s)
        self._show.began(task)
        return task

    def end(self, task: Task, status: Status = "done") -> None:
        """Say how what was begun has ended."""
        self._show.ended(task, status)

    @contextmanager
    def waiting(self, cause: str) -> Iterator[None]:
        """Say what is awaited while the block runs."""
        wait = _Wait(cause, None, 0, self._show, self._clock)
        self._show.began(wait)
        with self._until_ended(wait):
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
        """Write one line for the reader, above what is live."""
        self._show.note(line)

    @contextmanager
    def _until_ended(self, what: Task) -> Iterator[None]:
        status: Status = "done"
        try:
            yield
        except BaseException as error:
            status = status_of(error)
            raise
        finally:
            self._show.ended(what, status)


def status_of(error: BaseException | None) -> Status:
    """Return how something ended that `error` ended, if anything did."""
    if error is None:
        return "done"
    return "stopped" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"


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

    def ended(self, what: Task, status: Status) -> None:
        with self._lock:
            self._active.remove(what)
        if not isinstance(what, _Wait):
            self.note(key_values({**_figures(what), "status": status}))

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


TURNING = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
STATUS_WIDTH, NAME_WIDTH, COUNT_WIDTH, TIME_WIDTH, BAR_WIDTH = 8, 24, 9, 8, 18
"""Columns of the parts of a line; a longer name moves what stands behind it."""


class _Terminal:
    """Live lines of what is being done, below one plain line for each thing that is done."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._lock = threading.Lock()
        self._active: list[Task] = []
        self._live = Live(
            console=self._console, get_renderable=self._lines, refresh_per_second=8, transient=True
        )

    def start(self) -> None:
        self._live.start(refresh=True)

    def stop(self) -> None:
        self._live.stop()

    def began(self, what: Task) -> None:
        with self._lock:
            self._active.append(what)

    def changed(self, what: Task) -> None:
        pass  # the next refresh shows it

    def ended(self, what: Task, status: Status) -> None:
        with self._lock:
            self._active.remove(what)
        if isinstance(what, _Wait):
            return
        count = f"{what.done:,}"
        if what.total is not None and what.done != what.total:
            count += f"/{what.total:,}"
        rest = f" {count:>{COUNT_WIDTH}} {_clock_time(what.elapsed_s):>{TIME_WIDTH}}"
        width = self._console.width - STATUS_WIDTH
        line = f"{_cropped(what.name, width - len(rest)):<{NAME_WIDTH}}{rest}"
        line += _fitting(what.figures, width - len(line))
        whole = Text.assemble((f"{status:<{STATUS_WIDTH}}", STATUS_STYLES[status]), line)
        self._console.print(whole, no_wrap=True, overflow="ellipsis", crop=True)

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _lines(self) -> Group:
        with self._lock:
            active = list(self._active)
        return Group(*(line for what in active for line in self._of(what)))

    def _of(self, what: Task) -> Iterator[RenderableType]:
        """A line for what is awaited; two, with the figures below, for what is counted."""
        turning = TURNING[int(10 * self._console.get_time()) % len(TURNING)]
        if isinstance(what, _Wait):
            told = f"{turning} waiting for {what.name} {_clock_time(what.elapsed_s)}"
            yield Text(told, no_wrap=True, overflow="ellipsis")
            return
        width, parts = self._console.width, [f"{what.done:,}", _clock_time(what.elapsed_s)]
        if what.total is not None:
            left = "-:--" if what.left_s is None else _clock_time(what.left_s)
            parts = [f"{what.done:,}/{what.total:,}", f"{left} left"]
        if what.rate_per_s is not None:
            parts.append(f"{_brief(what.rate_per_s)}/s")
        bar = [] if what.total is None else [ProgressBar(what.total, what.done, width=BAR_WIDTH)]
        room = width - 2 - sum(len(part) + 1 for part in parts) - len(bar) * (BAR_WIDTH + 1)
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(turning, Text(_cropped(what.name, room)), *bar, *parts)
        yield line
        if figures := _fitting(what.figures, width - 1):
            yield Text(f" {figures}", no_wrap=True, style="cyan")


def _fitting(figures: dict[str, Figure], width: int) -> str:
    """The figures that fit into so many columns, each whole, a blank before each."""
    line = ""
    for key, value in figures.items():
        pair = f" {key}={_brief(value) if isinstance(value, float) else _shown_value(value)}"
        if len(line) + len(pair) < width:
            line += pair
    return line


def _cropped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def _brief(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _clock_time(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
