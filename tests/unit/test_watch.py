"""Following a journal that grows, is cut back by a resumed stage, and grows again."""

import json
from pathlib import Path

from orchestrator.watch import Tail


def line(step: int, seconds: float) -> str:
    return json.dumps({"step": step, "step_s": seconds}) + "\n"


def steps(tail: Tail) -> list[int]:
    return [row["step"] for row in tail.rows()]


def test_whole_lines_are_returned_once(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    tail = Tail(path)
    assert steps(tail) == []
    path.write_text(line(1, 0.5) + line(2, 0.25) + '{"step": 3')
    assert steps(tail) == [1, 2]
    assert steps(tail) == []
    path.write_text(line(1, 0.5) + line(2, 0.25) + line(3, 0.5))
    assert steps(tail) == [3]


def test_a_journal_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    tail = Tail(path)
    path.write_text(line(1, 0.5) + line(2, 0.25) + line(3, 0.5))
    assert steps(tail) == [1, 2, 3]
    path.write_text(line(1, 0.5))
    assert steps(tail) == [1]
    # Cut back and longer again between two looks, with other bytes: the old end is within a line.
    path.write_text(line(1, 0.123456) + line(2, 0.234567) + line(3, 0.345678) + line(4, 0.4))
    assert steps(tail) == [1, 2, 3, 4]
    path.write_text(line(1, 0.1) + line(2, 0.2) + line(3, 0.3) + line(4, 0.4) + line(5, 0.500001))
    assert steps(tail)[-1] == 5
