"""Following a journal that grows and is cut back, and what the workers say that they do."""

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.progress import Progress
from orchestrator.signals import Signals
from orchestrator.tracking import NoTracker
from orchestrator.watch import Tail, TrainingWatch
from trainers.journal import chain_rows


def journal(*seconds: float) -> bytes:
    return b"".join(chain_rows({"step": n, "step_s": s} for n, s in enumerate(seconds, start=1)))


def steps(tail: Tail) -> list[int]:
    return [row["step"] for row in tail.rows()]


def test_whole_lines_are_returned_once(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    tail = Tail(path)
    assert steps(tail) == []
    path.write_bytes(journal(0.5, 0.25) + b'{"step": 3')
    assert steps(tail) == [1, 2]
    assert steps(tail) == []
    path.write_bytes(journal(0.5, 0.25, 0.5))
    assert steps(tail) == [3]
    path.write_bytes(journal(0.5, 0.25, 0.5, 0.5, 0.5).replace(b'"step": 4', b'"step": 9'))
    assert steps(tail) == []


def test_a_journal_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    tail = Tail(path)
    path.write_bytes(journal(0.5, 0.25, 0.5))
    assert steps(tail) == [1, 2, 3]
    path.write_bytes(journal(0.5))
    assert steps(tail) == [1]
    # Cut back and longer again between two looks, with other bytes: the old end is within a line.
    path.write_bytes(journal(0.123456, 0.234567, 0.345678, 0.4))
    assert steps(tail) == [1, 2, 3, 4]
    path.write_bytes(journal(0.1, 0.2, 0.3, 0.4, 0.500001))
    assert steps(tail) == [1, 2, 3, 4, 5]


def said(what: str, done: int, total: int, *finished: str) -> dict[str, Any]:
    """What the first worker wrote down."""
    ended = [{"what": name, "total": 60, "took_s": 1.5} for name in finished]
    return {"what": what, "done": done, "total": total, "finished": ended}


def told_of(
    folder: Path, looks: Sequence[dict[str, Any]], error: BaseException | None
) -> list[str]:
    """The lines off a terminal about what is shown, if `error` ends it after so many looks."""
    out = io.StringIO()
    with (
        suppress(type(error or KeyError())),
        Progress(out) as progress,
        TrainingWatch(folder, progress, NoTracker()) as watch,
    ):
        for now in looks:
            watch.look(now)
        if error is not None:
            raise error
    return out.getvalue().splitlines()


def test_what_ended_between_two_looks_is_done(tmp_path: Path) -> None:
    row = {"stage": "sft", "step": 60, "loss/train": 0.5}
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(chain_rows([row])))
    looks = [
        said("train sft", 46, 60, "evaluate base"),
        said("grpo: model and data to load", 0, 0, "evaluate base", "train sft", "evaluate sft"),
        said("train grpo", 60, 60, "evaluate base", "train sft", "evaluate sft", "train grpo"),
    ]
    base, sft, between, grpo = told_of(tmp_path, looks, None)
    for line, name in ((base, "evaluate base"), (between, "evaluate sft"), (grpo, "train grpo")):
        assert line.startswith(f'task="{name}" done=60 total=60') and line.endswith("status=done")
    assert sft.startswith('task="train sft" done=60 total=60')
    assert sft.endswith("loss=0.5 status=done") and "task_s=1.5" in between


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "stopped"), (SystemExit(143), "stopped"), (ValueError("x"), "failed")],
)
def test_a_step_that_did_not_end_is_never_called_done(
    tmp_path: Path, error: BaseException, status: str
) -> None:
    stopping = {"what": "stopping: the workers save their state", "done": 0, "total": 0}
    looks = [said("train grpo", 46, 60), stopping, said("train grpo", 47, 60)]
    (line,) = told_of(tmp_path, looks, error)
    assert 'task="train grpo" done=47 total=60' in line and line.endswith(f"status={status}")


def test_a_step_goes_on_after_a_lost_worker(tmp_path: Path) -> None:
    looks = [
        said("train grpo", 46, 60),
        said("grpo: model and data to load", 0, 0),
        said("train grpo", 40, 60),
        said("evaluate grpo", 0, 60, "train grpo"),
    ]
    grpo, evaluation = told_of(tmp_path, looks, RuntimeError())
    assert 'task="train grpo" done=60' in grpo and grpo.endswith("status=done")
    assert 'task="evaluate grpo" done=0' in evaluation and evaluation.endswith("status=failed")


def test_a_note_of_the_workers_is_told_once(tmp_path: Path) -> None:
    signals = Signals(tmp_path)
    signals.write(signals.notes, {"lines": ["a state is skipped"]})
    looks = [said("train grpo", 46, 60), said("train grpo", 60, 60, "train grpo")]
    assert told_of(tmp_path, looks, None).count("a state is skipped") == 1
