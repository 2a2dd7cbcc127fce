"""`clutch datagen abd` as a user runs it: from the grammar and from files, and mistakes."""

import json
from pathlib import Path

import pytest

from tests.command import clutch, succeeded

ROW = {"program": "print(int(input()) * 3 - 1)", "inputs": "14", "output": "41"}


def made(*arguments: str | Path) -> dict:
    return json.loads(succeeded(clutch("datagen", "abd", *arguments, "--json")))


def test_generated_programs_are_told_by_level_and_knobs(tmp_path: Path) -> None:
    out = tmp_path / "d"
    arguments = ("--out", out, "--level", "micro", "--level", "easy", "--num", "30", "--seed", "4")
    manifest = made(*arguments, "--max-value", "40")
    assert set(manifest["difficulty"]["train"]) == {"micro 0..40", "easy 1..40"}
    assert sum(manifest["difficulty"]["train"].values()) == 30
    assert manifest["tasks"] == ["abd"]
    again = succeeded(clutch("datagen", "abd", *arguments, "--max-value", "40"))
    assert f"train 30 rows; sha256 {manifest['dataset_hash']}" in again


def test_compact_datasets_are_micro_by_default(tmp_path: Path) -> None:
    manifest = made("--out", tmp_path / "d", "--style", "compact", "--num", "20", "--split", "test")
    assert manifest["difficulty"] == {"test": {"micro": 20}}


def test_given_programs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    manifest = made("--out", tmp_path / "d", "--from-programs", path)
    assert manifest["splits"]["test"]["num_rows"] == 1
    assert manifest["difficulty"] == {"test": {"programs": 1}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "nano"], "nano"),
        (["--level", "micro", "--inputs", "9"], "--level"),
        (["--style", "compact", "--level", "hard"], "level hard has no compact style"),
        (["--num", "0"], "--num"),
        (["--max-chance", "2"], "--max-chance: max_chance is 2"),
        (["--from-programs", "nope.jsonl"], "--from-programs: no file at nope.jsonl"),
        (["--from-programs", "README.md"], "use a .jsonl or .parquet file"),
        (["--from-programs", "README.md", "--lines", "3"], "--lines cannot go with --from-pro"),
        (["--from-programs", "a", "--from-cruxeval", "b"], "are both given: give one of them"),
        (["--from-cruxeval", "README.md"], "README.md:1 is not JSON"),
    ],
)
def test_mistakes_are_told_in_a_line_or_two(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = clutch("datagen", "abd", "--out", tmp_path / "d", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "d").exists()
