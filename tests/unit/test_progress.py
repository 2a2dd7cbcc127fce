"""Progress off a terminal (plain lines, also while something is awaited) and on one."""

import io
import json
import os
import re
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from synthetic_run import write_run

from orchestrator.finished_run import copy_evaluations
from orchestrator.progress import TURNING, Progress, key_values
from tests.terminal import Terminal, terminal

EVENTS = Path(__file__).resolve().parents[1] / "data" / "small_run_events.jsonl"
"""What the driver of a small quickstart saw: tests/replayed_run.py says more."""
STEPS = [
    "generate sat/test",
    "generate sat/train",
    "generate sat/warmup",
    "evaluate base",
    "train sft",
    "evaluate sft",
    "train grpo",
    "evaluate grpo",
]
GRPO_STEP = 40
"""At which GRPO is looked at."""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pairs(line: str) -> dict[str, str]:
    """A key=value line, split as a shell would."""
    return dict(part.split("=", 1) for part in shlex.split(line))


def wait_for(out: io.StringIO, text: str) -> str:
    """The first line that holds the text, once it is there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in out.getvalue().splitlines():
            if text in line:
                return line
        time.sleep(0.005)
    raise AssertionError(f"no {text!r} in {out.getvalue()!r}")


def test_a_line_tells_counts_rate_and_time_left() -> None:
    out, clock = io.StringIO(), Clock()
    with (
        Progress(out, interval_s=0.01, clock=clock) as progress,
        progress.task("generate sat/train", total=40_000) as task,
    ):
        clock.now += 10
        task.update(10_000, loss=0.123456, part="a b")
        line = pairs(wait_for(out, "done=10000"))
    assert line == {
        "elapsed_s": "10",
        "task": "generate sat/train",
        "done": "10000",
        "total": "40000",
        "rate_per_s": "1000",
        "left_s": "30",
        "task_s": "10",
        "loss": "0.1235",
        "part": "a b",
    }


def test_a_resumed_task_counts_its_rate_from_where_it_started() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(out, clock=clock) as progress:
        with progress.task("sft", total=100, done=80) as task:
            clock.now += 5
            task.advance(10)
        assert task.rate_per_s == 2
        assert task.left_s == 5


def test_what_is_awaited_is_named_while_it_is_awaited() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(out, interval_s=0.01, clock=clock) as progress:
        with progress.waiting("Ray to start"):
            clock.now += 42
            line = pairs(wait_for(out, "waited_s=42"))
            assert line == {"elapsed_s": "42", "waiting_for": "Ray to start", "waited_s": "42"}
        wait_for(out, "status=working")
        with progress.task("grpo", total=9), progress.waiting("worker 0"):
            both = pairs(wait_for(out, 'waiting_for="worker 0"'))
            assert both["task"] == "grpo"


def test_lines_come_while_the_main_thread_is_stuck() -> None:
    out = io.StringIO()
    with Progress(out, interval_s=0.05) as progress, progress.task("stuck", total=2):
        time.sleep(0.5)
    beats = [line for line in out.getvalue().splitlines() if line.startswith("elapsed_s")]
    assert 4 <= len(beats) <= 11


def test_the_interval_is_kept_by_default() -> None:
    out = io.StringIO()
    with Progress(out) as progress, progress.task("short", total=1) as task:
        task.advance()
    assert [pairs(line)["status"] for line in out.getvalue().splitlines()] == ["done"]


def test_a_task_that_fails_says_so() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), Progress(out) as progress, progress.task("sft", total=3):
        raise RuntimeError("boom")
    assert pairs(out.getvalue())["status"] == "failed"


def test_parts_are_tasks_one_after_another() -> None:
    out = io.StringIO()
    with Progress(out) as progress, progress.parts("generate main") as count:
        for part, total in (("train", 3), ("test", 2)):
            for done in range(total + 1):
                count(part, done, total)
        count("test", 2, 2)
    lines = [pairs(line) for line in out.getvalue().splitlines()]
    assert [(line["task"], line["done"], line["total"]) for line in lines] == [
        ("generate main/train", "3", "3"),
        ("generate main/test", "2", "2"),
    ]


def test_a_part_is_timed_from_the_end_of_the_one_before() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(out, clock=clock) as progress, progress.parts("generate main") as count:
        for part, num_s in (("train", 2), ("test", 10)):
            clock.now += num_s
            count(part, 20, 20)
    lines = [pairs(line) for line in out.getvalue().splitlines()]
    assert [line["rate_per_s"] for line in lines] == ["10", "2"]


def test_what_parts_are_for_is_named_before_the_first_is_known() -> None:
    out = io.StringIO()
    with Progress(out, interval_s=0.005) as progress, progress.parts("generate main"):
        line = wait_for(out, "waiting_for")
    assert pairs(line)["waiting_for"] == "generate main"


def test_lines_of_many_threads_are_never_mixed() -> None:
    out = io.StringIO()
    with Progress(out, interval_s=0.001) as progress, progress.task("t", total=10**6) as task:

        def work() -> None:
            for _ in range(300):
                progress.note("note=x " + "y" * 50)
                task.advance(1, loss=1.5)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = out.getvalue().splitlines()
    assert sum(line == "note=x " + "y" * 50 for line in lines) == 1200
    assert all(re.match(r"(note=x y+$|elapsed_s=|task=t )", line) for line in lines)


def test_a_reader_that_left_does_not_stop_the_work() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    out = os.fdopen(write_end, "w", buffering=1)
    with Progress(out, interval_s=0.01) as progress, progress.task("t", total=1) as task:
        time.sleep(0.05)
        task.advance()
    assert task.done == 1
    with pytest.raises(BrokenPipeError):
        out.close()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "a=1"),
        (1 / 3, "a=0.3333"),
        (1e-5, "a=1e-05"),
        ("plain/x", "a=plain/x"),
        ("two words", 'a="two words"'),
        ('q"uote', r'a="q\"uote"'),
        ("line\nbreak", r'a="line\nbreak"'),
        ("", 'a=""'),
    ],
)
def test_values_are_quoted_where_needed(value: float | str, shown: str) -> None:
    assert key_values({"a": value}) == shown


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """The recorded run, shown once more on each line "again"."""
    run = write_run(tmp_path_factory.mktemp("runs") / "quickstart")
    copy_evaluations(run, ("base", "grpo"))
    command = [sys.executable, "-m", "tests.replayed_run", EVENTS, run]
    with terminal(command, 80) as shown:
        yield shown


def is_live(line: str) -> bool:
    return line.startswith(tuple(TURNING))


def live_line_with(*parts: str) -> Callable[[list[str]], bool]:
    return lambda lines: any(is_live(x) and all(part in x for part in parts) for x in lines)


@pytest.mark.parametrize("columns", [80, 100, 110, 140])
def test_a_run_can_be_followed_on_a_terminal(replayed: Terminal, columns: int) -> None:
    replayed.clear(columns)
    replayed.type("again")
    replayed.wait_until(live_line_with("waiting for Ray to start 0:"))
    seen = []
    for event in map(json.loads, EVENTS.read_text().splitlines()):
        now = event["progress"] or {"what": "the workers to start", "done": 0, "total": 0}
        told = f"{now['done']}/{now['total']}" if now["total"] else f"waiting for {now['what']}"
        replayed.type()
        if now["done"] in (0, GRPO_STEP, now["total"]):
            seen.append(replayed.wait_until(live_line_with(now["what"], told)))
        if now["done"] == GRPO_STEP:
            follow_grpo([line for line in seen[-1] if line], columns)
    assert not any("/?" in line for lines in seen for line in lines)
    replayed.type()
    replayed.wait_until(live_line_with("waiting for the report"))
    replayed.type()
    lines = replayed.wait_until(lambda lines: any(x.startswith("try it") for x in lines))
    steps = [line for line in lines if line.startswith("done ")]
    assert [line[8:32].strip() for line in steps] == STEPS
    assert not any(map(is_live, lines))
    whole_table(lines, columns)


def follow_grpo(lines: list[str], columns: int) -> None:
    """What has ended has one line; below it stand name, bar, step and time left, then metrics."""
    first = next(i for i, line in enumerate(lines) if is_live(line))
    assert [line[8:32].strip() for line in lines[:first]] == STEPS[:-2]
    assert all(line.startswith("done ") for line in lines[:first])
    step, metrics = lines[first:]
    assert re.match(rf". train grpo [━╸╺]+ +{GRPO_STEP}/60 \d+:\d\d left [\d.,]+/s$", step)
    assert re.match(r"  reward=\S+ validation=\S+ loss=\S+ entropy=\S+ zero_variance=\S+$", metrics)
    assert max(map(len, lines)) <= columns


def whole_table(lines: list[str], columns: int) -> None:
    """All rows of both tables, and the verdict below them."""
    rows = [line.split("  ")[0].strip() for line in lines]
    names = ["base", "sft", "grpo", "guess: all True", "guess: random", "guess: majority"]
    assert [row for row in rows if row in names] == names * 2
    assert not any("…" in line for line in lines if not line.startswith("try it"))
    below = " ".join(lines[rows.index("guess: majority") :])
    assert re.search(
        r"grpo against sft: improved; greedy .* points \(.*\), pass@8 .* points", below
    )


def test_a_terminal_gets_live_lines_and_results_stay_on_stdout() -> None:
    code = (
        "import sys; from orchestrator.progress import Progress\n"
        "with Progress() as progress:\n"
        "    with progress.waiting('Ray to start'): sys.stdin.readline()\n"
        "    with progress.task('sft [x]', total=4) as task:\n"
        "        task.update(3, loss=0.5); sys.stdin.readline(); task.advance()\n"
        "    progress.note('a [note]')\n"
        "    with progress.task('read') as task: task.update(7, file='a' * 500)\n"
        "    try:\n"
        "        with progress.task('grpo', total=4): raise KeyboardInterrupt\n"
        "    except KeyboardInterrupt: pass\n"
        "print('{}')"
    )
    with tempfile.TemporaryFile() as results:
        with terminal([sys.executable, "-c", code], 80, stdout=results.fileno()) as shown:
            shown.wait_until(lambda lines: "waiting for Ray to start 0:00" in lines[0][2:])
            shown.type()
            shown.wait_until(lambda lines: "sft [x]" in lines[0] and "loss=0.5" in lines[1])
            shown.type()
            lines = shown.end()
        results.seek(0)
        assert json.loads(results.read()) == {}
    assert [line.split()[:4] for line in lines if line] == [
        ["done", "sft", "[x]", "4"],
        ["a", "[note]"],
        ["done", "read", "7", "0:00"],
        ["stopped", "grpo", "0/4", "0:00"],
    ]
