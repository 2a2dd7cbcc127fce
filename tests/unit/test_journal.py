"""Journals and rollout logs: nothing lost, nothing twice, cut back to the byte."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.whole_file import DamageError
from trainers.folders import SaveError
from trainers.journal import Journal, chain_rows, read_chained, read_whole
from trainers.rollout_log import Rollout, RolloutLog, index_path, read_rollouts


def rollout(number: int, **changes: object) -> Rollout:
    values: dict[str, object] = {
        "step": number // 4,
        "problem_id": f"sat-train-{number}",
        "sample": number % 4,
        "text": f"+{number} -2",
        "token_ids": [number, 17, 2],
        "sampler_logprobs": [-0.5, -1.25, float(np.float32(-0.1) * number)],
        "reward": float(number % 2),
        "reason": "correct" if number % 2 else "unsatisfied_clause",
        "advantage": -0.1 * number,
        "policy_step": number // 4,
    }
    return Rollout(**(values | changes))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, object]]:
    read = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(len(row.pop("chain")) == 32 for row in read)
    return read


def flipped(path: Path, offset: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def indexed_ends(path: Path) -> list[int]:
    return np.fromfile(index_path(path), dtype="<u8").tolist()


def line_ends(path: Path) -> list[int]:
    return np.cumsum([len(line) for line in path.read_bytes().splitlines(keepends=True)]).tolist()


def test_rows_are_appended_over_several_openings(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.jsonl"
    with Journal(path) as journal:
        journal.append([{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "text": "ö\n\u2028"}])
        assert path.read_bytes() == b""
        journal.flush()
        assert journal.offset == path.stat().st_size
    with Journal(path) as journal:
        assert journal.offset == path.stat().st_size
        journal.append([{"step": 3}])
    assert rows(path) == [
        {"step": 1, "loss": 0.1 + 0.2},
        {"step": 2, "text": "ö\n\u2028"},
        {"step": 3},
    ]


def test_resumed_journal_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    journal.append({"step": step} for step in range(3))
    journal.sync()
    saved = journal.offset
    journal.append({"step": step, "wrong": True} for step in range(3, 9))
    journal.flush()
    with Journal(path) as again:
        again.truncate(saved)
        assert again.offset == saved
        again.append({"step": step} for step in range(3, 5))
    journal.close()
    assert rows(path) == [{"step": step} for step in range(5)]


@pytest.mark.parametrize("kept", [0, 1, 25])
def test_torn_last_line_is_cut_on_opening(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = b"".join(chain_rows({"step": step} for step in range(kept)))
    path.write_bytes(whole + b'{"step":99,"lo')
    with Journal(path) as journal:
        assert journal.offset == len(whole)
    assert path.read_bytes() == whole


def test_torn_line_longer_than_the_buffer_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    (line,) = chain_rows([{"step": 1}])
    path.write_bytes(line + b"x" * (3 << 20))
    with Journal(path) as journal:
        assert journal.offset == len(line)


def test_wrong_offsets_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "metrics.jsonl") as journal:
        journal.append([{"step": 1}, {"step": 2}])
        with pytest.raises(ValueError, match=r"metrics\.jsonl has 108 bytes, the saved state"):
            journal.truncate(109)
        with pytest.raises(ValueError, match="no line that ends at byte 53"):
            journal.truncate(53)
        journal.truncate(54)
        journal.truncate(0)
        assert journal.offset == 0


def test_values_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "metrics.jsonl") as journal,
        pytest.raises(ValueError, match=r"a row for .*metrics\.jsonl is not JSON: .*nan"),
    ):
        journal.append([{"loss": float("nan")}])
    with RolloutLog(tmp_path / "rollouts.jsonl") as log:
        log.append_rollouts([rollout(0)])
        for changes in (
            {"sampler_logprobs": [0.0, float("-inf")]},
            {"sampler_logprobs": [float("nan")]},
            {"reward": float("nan")},
            {"advantage": float("inf")},
        ):
            with pytest.raises(ValueError, match="rollout"):
                log.append_rollouts([rollout(1), rollout(2, **changes)])
        assert log.num_lines == 1


@given(
    text=st.text(),
    problem_id=st.text(),
    token_ids=st.lists(st.integers(0, 2**31)),
    logprobs=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)),
    reward=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    advantage=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_rollout_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    problem_id: str,
    token_ids: list[int],
    logprobs: list[float],
    reward: float | None,
    advantage: float | None,
) -> None:
    path = tmp_path_factory.mktemp("log") / "grpo-rank0.jsonl"
    written = Rollout(
        3, problem_id, 1, text, token_ids, logprobs, reward, "no_answer", advantage, 2
    )
    with RolloutLog(path) as log:
        log.append_rollouts([written])
    (read,) = read_rollouts(path, 0, 1)
    assert list(read) == list(Rollout._fields)
    read["sampler_logprobs"] = np.array(read["sampler_logprobs"], dtype=np.float32).tolist()
    assert Rollout(**read) == written
    assert len(path.read_bytes().splitlines()) == 1


def test_pages_are_read_without_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "grpo-rank0.jsonl"
    with RolloutLog(path) as log:
        log.append_rollouts(rollout(number) for number in range(50))
        log.append([rollout(50)._asdict()])
        assert log.num_lines == 51
    assert indexed_ends(path) == line_ends(path)
    ids = [row["problem_id"] for row in read_rollouts(path, 10, 3)]
    assert ids == ["sat-train-10", "sat-train-11", "sat-train-12"]
    assert [row["token_ids"][0] for row in read_rollouts(path, 49, 10)] == [49, 50]
    assert read_rollouts(path, 0, 1)[0]["text"] == "+0 -2"
    assert read_rollouts(path, 51, 5) == []
    assert read_rollouts(path, 3, 0) == []
    # With the first page overwritten, a later one still reads: the start is not looked at.
    content = path.read_bytes()
    path.write_bytes(b"\xff" * 100 + content[100:])
    assert read_rollouts(path, 30, 1)[0]["problem_id"] == "sat-train-30"


def test_readers_see_what_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "grpo-rank0.jsonl"
    with RolloutLog(path) as log:
        log.append_rollouts([rollout(0)])
        assert read_rollouts(path, 0, 9) == []
        log.flush()
        assert len(read_rollouts(path, 0, 9)) == 1


def test_every_flipped_bit_of_a_journal_is_named_or_leaves_a_torn_line(tmp_path: Path) -> None:
    whole = b"".join(chain_rows({"step": step, "text": "ö"} for step in range(3)))
    path, size = tmp_path / "metrics.jsonl", len(whole) // 3
    for offset in range(len(whole)):
        path.write_bytes(whole)
        flipped(path, offset)
        with pytest.raises(DamageError, match=rf"metrics\.jsonl: line {offset // size + 1} "):
            read_whole(path)
        with Journal(path) as journal:
            assert journal.intact == offset // size * size
            if offset == len(whole) - 1:
                assert journal.offset == journal.intact
                continue
            with pytest.raises(DamageError, match=r"metrics\.jsonl: line . \(from byte \d+\)"):
                journal.append([{"step": 3, "text": "ö"}])
            with pytest.raises(DamageError, match="--fresh"):
                journal.truncate(journal.intact + size)


@pytest.mark.parametrize("changed", [[0, 2, 1], [0, 1, 1, 2], [0, 2], [1, 2]])
def test_lines_that_are_moved_repeated_or_lost_are_damage(
    tmp_path: Path, changed: list[int]
) -> None:
    lines = list(chain_rows({"step": step} for step in range(3)))
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(lines[number] for number in changed))
    with pytest.raises(DamageError):
        list(read_chained(path))


def test_a_journal_cut_back_before_its_damage_goes_on_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    path = tmp_path / "grpo-rank0.jsonl"
    with RolloutLog(path) as log:
        log.append_rollouts(rollout(number) for number in range(8))
    whole, index = path.read_bytes(), index_path(path).read_bytes()
    flipped(path, line_ends(path)[4] + 30)
    with RolloutLog(path) as log:
        assert log.intact == line_ends(path)[4]
        log.truncate(line_ends(path)[3])
        log.append_rollouts(rollout(number) for number in range(4, 8))
    assert path.read_bytes() == whole
    assert index_path(path).read_bytes() == index


def test_a_page_with_a_changed_line_is_refused_and_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "grpo-rank0.jsonl"
    with RolloutLog(path) as log:
        log.append_rollouts(rollout(number) for number in range(20))
    flipped(path, line_ends(path)[6] + 30)
    with pytest.raises(DamageError, match=r"grpo-rank0\.jsonl: line 8 "):
        read_rollouts(path, 5, 5)
    assert len(read_rollouts(path, 8, 100)) == 12
    whole = index_path(path).read_bytes()
    for offset in range(len(whole)):
        flipped(index_path(path), offset)
        assert [row["token_ids"][0] for row in read_rollouts(path, 10, 4)] == [10, 11, 12, 13]
        index_path(path).write_bytes(whole)


def damage_missing(index: Path) -> None:
    index.unlink()


def damage_short(index: Path) -> None:
    os.truncate(index, 8 * 7)


def damage_torn(index: Path) -> None:
    os.truncate(index, 8 * 7 + 3)


def damage_long(index: Path) -> None:
    index.write_bytes(index.read_bytes() + np.array([10**6, 10**7], dtype="<u8").tobytes())


def damage_garbage(index: Path) -> None:
    index.write_bytes(np.arange(1, 21, dtype="<u8").tobytes())


@pytest.mark.parametrize(
    "damage", [damage_missing, damage_short, damage_torn, damage_long, damage_garbage]
)
def test_index_is_repaired(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "grpo-rank0.jsonl"
    with RolloutLog(path) as log:
        log.append_rollouts(rollout(number) for number in range(20))
    assert callable(damage)
    damage(index_path(path))
    assert [row["token_ids"][0] for row in read_rollouts(path, 5, 100)] == list(range(5, 20))
    with RolloutLog(path) as log:
        assert log.num_lines == 20
        log.append_rollouts([rollout(20)])
    assert indexed_ends(path) == line_ends(path)


def test_torn_rollout_is_cut_with_its_index(tmp_path: Path) -> None:
    path = tmp_path / "grpo-rank0.jsonl"
    with RolloutLog(path) as log:
        log.append_rollouts(rollout(number) for number in range(20))
    os.truncate(path, path.stat().st_size - 5)
    assert len(read_rollouts(path, 0, 100)) == 19
    with RolloutLog(path) as log:
        assert log.num_lines == 19
    assert indexed_ends(path) == line_ends(path)


@given(steps=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8))
def test_truncation_keeps_lines_and_index_together(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "grpo-rank0.jsonl"
    log, kept, offsets = RolloutLog(path), 0, [0]
    for count, back in steps:
        log.append_rollouts(rollout(kept + number) for number in range(count))
        for number in range(count):
            offsets.append(-1 if number < count - 1 else log.offset)
        kept += count
        if back:
            kept = max(line for line in range(kept // 2 + 1) if offsets[line] >= 0)
            offsets = offsets[: kept + 1]
            log.truncate(offsets[kept])
        assert log.num_lines == kept
    log.close()
    assert [row["token_ids"][0] for row in read_rollouts(path, 0, 99)] == list(range(kept))
    assert indexed_ends(path) == line_ends(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_is_one_line_and_keeps_the_rows_before(small_disk: Path) -> None:
    path = small_disk / "metrics.jsonl"
    journal = Journal(path)
    journal.append([{"step": 1}])
    journal.flush()
    journal.append({"step": step, "text": "x" * 1000} for step in range(2, 102))
    with pytest.raises(SaveError, match=r"^cannot save .*metrics\.jsonl: No space left[^\n]*$"):
        journal.flush()
    journal.close()
    with Journal(path) as again:
        steps = [row["step"] for row in rows(path)]
        assert steps == list(range(1, len(steps) + 1))
        assert again.offset == path.stat().st_size
