"""Given programs: certified by running, dealt out to splits, and files told what is wrong."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.abd_config import AbdConfig
from datagen.abd_files import open_given
from datagen.abd_given import varied_arguments, varied_text
from datagen.dataset import build_dataset, read_split
from datagen.keys import item_key
from datagen.stream import Stream
from reward_fns.abd import score_abd

DOUBLE = {"program": "print(int(input()) * 2)", "inputs": "21", "output": "42"}


def adder(number):
    """A problem of its own for each number."""
    program = f"a = int(input())\nb = int(input())\nprint(a - b + {number})\n"
    return {"program": program, "inputs": ["30", "4"], "output": f"{26 + number}\n"}


BAD = {
    "failed": {"program": "print(1 / int(input()))", "inputs": "0", "output": "1"},
    "not_reproduced": {"program": "print(input() + 'x')", "inputs": "a", "output": "b"},
    "unstable": {"program": "import time\ninput()\nprint(time.time_ns())", "inputs": "1"},
    "empty_output": {"program": "input()", "inputs": "1", "output": ""},
    "echo": {"program": "print(input())", "inputs": "abc", "output": "abc"},
    "constant": {"program": "input()\nprint(5)", "inputs": "12345", "output": "5"},
    "ambiguous": {"program": "print(int(input()) % 2)", "inputs": "12345", "output": "1"},
    "duplicates": DOUBLE,
    "too_long": {"program": f"print(input()){' ' * 7000}", "inputs": "1", "output": "1"},
    "no_text": {"program": "print(input() * 2)", "inputs": "\ud800", "output": "x"},
}
BAD["unstable"]["output"] = "1"


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def config(path, **changes):
    kind = "parquet" if str(path).endswith("parquet") else "jsonl"
    fields = {"programs": {"type": kind, "path": str(path)}, "splits": {"test": "all"}}
    return AbdConfig.model_validate({**fields, **changes})


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_given_programs_become_problems_that_their_gold_solves(kind, tmp_path):
    rows = [DOUBLE | {"inputs": ["21"]}, *map(adder, range(20))]
    path = tmp_path / f"programs.{kind}"
    if kind == "jsonl":
        written(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    manifest = build_dataset(config(path), tmp_path / "data", seed=0)
    problems = list(read_split(tmp_path / "data", "test"))
    assert [row.index for row in problems] == list(range(21))
    assert [json.loads(row.env)["program"] for row in problems] == [row["program"] for row in rows]
    assert problems[1].answer == "<INPUT>\n30\n4\n</INPUT>"
    assert all(score_abd(row.answer, row.env).value == 1.0 for row in problems)
    assert manifest.difficulty == {"test": {"programs": 21}}
    assert manifest.chance["test"]["empty_input"] == 0
    assert 0 <= manifest.chance["test"]["random_input"] < 0.2
    again = build_dataset(config(path), tmp_path / "again", seed=0)
    assert again.dataset_hash == manifest.dataset_hash


def test_what_makes_no_problem_is_left_out_and_counted(tmp_path):
    path = written(tmp_path / "programs.jsonl", [DOUBLE, *BAD.values()])
    manifest = build_dataset(config(path), tmp_path / "data", seed=0)
    assert manifest.splits["test"].num_rows == 1
    dropped = {reason: count for reason, count in manifest.dropped.items() if count}
    assert dropped == dict.fromkeys(BAD, 1)


def test_unscreened_programs_are_kept_however_easy_they_are(tmp_path):
    easy = [BAD["echo"], BAD["constant"], BAD["ambiguous"]]
    path = written(tmp_path / "programs.jsonl", easy)
    programs = {"type": "jsonl", "path": path, "screened": False}
    manifest = build_dataset(config(path, programs=programs), tmp_path / "data", seed=0)
    assert manifest.splits["test"].num_rows == 3
    assert manifest.chance["test"]["echo_output"] > 0.6
    assert manifest.chance["test"]["random_input"] > 0.5


def test_splits_share_out_the_file_and_training_takes_the_rest(tmp_path):
    path = written(tmp_path / "programs.jsonl", [adder(number) for number in range(60)])
    splits = {"train": "all", "test": 20}
    build_dataset(config(path, splits=splits), tmp_path / "data", seed=3)
    parts = {name: list(read_split(tmp_path / "data", name)) for name in splits}
    assert [len(parts[name]) for name in splits] == [40, 20]
    names = [row.id for rows in parts.values() for row in rows]
    assert len(set(names)) == 60
    build_dataset(config(path, splits=splits), tmp_path / "other", seed=4)
    assert {row.id for row in read_split(tmp_path / "other", "test")} != {
        row.id for row in parts["test"]
    }


def test_a_file_with_too_few_programs_says_how_many_there_are(tmp_path):
    path = written(tmp_path / "programs.jsonl", [DOUBLE, BAD["failed"]])
    with pytest.raises(ValueError, match=r"splits\.test: asks for 5 .* has 1 left \(of 2; left ou"):
        build_dataset(config(path, splits={"test": 5}), tmp_path / "data", seed=0)
    bad = written(tmp_path / "bad.jsonl", [BAD["failed"]])
    with pytest.raises(ValueError, match="none of the 1 programs"):
        build_dataset(config(bad), tmp_path / "data", seed=0)
    assert not (tmp_path / "data").exists()


def test_each_pair_of_lists_is_a_case(tmp_path):
    row = {"program": "print(int(input()) - 7)", "inputs": ["19", "42"], "output": ["12", "35"]}
    path = written(tmp_path / "programs.jsonl", [row])
    build_dataset(config(path), tmp_path / "data", seed=0)
    problems = list(read_split(tmp_path / "data", "test"))
    assert [row.id for row in problems] == ["abd:programs:1.0", "abd:programs:1.1"]
    assert [json.loads(row.env)["expected_output"] for row in problems] == ["12\n", "35\n"]


def test_a_moved_file_is_the_same_dataset_and_a_changed_one_is_not(tmp_path):
    (tmp_path / "moved").mkdir()
    hashes = []
    for name, rows in (("a", [DOUBLE]), ("moved/a", [DOUBLE]), ("b/a", [DOUBLE, adder(3)])):
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        written(path, rows)
        built = build_dataset(config(path), tmp_path / f"data{len(hashes)}", seed=0)
        hashes.append(built.dataset_hash)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"program": "x", ', r"programs\.jsonl:2 is not JSON"),
        ("[1, 2]", r"programs\.jsonl:2 holds a list: use a JSON object a line"),
        (
            '{"program": "x", "input": "3"}',
            r"programs\.jsonl:2 has no column inputs, output: it needs program, inputs, output and "
            r"has program, input",
        ),
        (
            '{"program": 7, "inputs": "3", "output": "4"}',
            r"programs\.jsonl:2: program is 7: use a string",
        ),
        (
            '{"program": "x", "inputs": {"a": 1}, "output": "4"}',
            r"programs\.jsonl:2: inputs is an object: use a string, or a list of strings",
        ),
        (
            '{"program": "x", "inputs": ["1"], "output": ["4", "5"]}',
            r"programs\.jsonl:2: output is a list: use a string, or a list as long as that of inp",
        ),
        ('{"program": "x", "inputs": "1", "output": null}', r"output is null"),
        ("[" * 100_000, r"programs\.jsonl:2 is not JSON"),
    ],
)
def test_a_broken_line_is_told_by_its_number(line, message, tmp_path):
    path = tmp_path / "programs.jsonl"
    path.write_text(f"{json.dumps(DOUBLE)}\n{line}\n")
    with pytest.raises(ValueError, match=message):
        build_dataset(config(path), tmp_path / "data", seed=0)
    assert not (tmp_path / "data").exists()


def test_bytes_that_are_no_text_are_told_by_their_line(tmp_path):
    path = tmp_path / "programs.jsonl"
    path.write_bytes(json.dumps(DOUBLE).encode() + b'\n{"program": "\xff"}\n')
    with pytest.raises(ValueError, match=r"programs\.jsonl:2 is not JSON"):
        build_dataset(config(path), tmp_path / "data", seed=0)


def test_blank_lines_are_passed_over_and_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "programs.jsonl"
    path.write_text(f"\n{json.dumps(DOUBLE)}\n\n")
    assert len(open_given(path, "jsonl")) == 1
    path.write_text("\n\n")
    with pytest.raises(ValueError, match="holds no rows"):
        open_given(path, "jsonl")


def test_parquet_files_are_checked_too(tmp_path):
    path = tmp_path / "programs.parquet"
    path.write_text("no parquet")
    with pytest.raises(ValueError, match=r"programs\.parquet is not a Parquet file"):
        open_given(path, "parquet")
    pq.write_table(pa.table({"program": ["x"], "output": ["y"]}), path)
    with pytest.raises(ValueError, match="has no column inputs: it needs program, inputs, output"):
        open_given(path, "parquet")
    with pytest.raises(ValueError, match=r"cannot read .*nope\.jsonl: No such file"):
        open_given(tmp_path / "nope.jsonl", "jsonl")


@pytest.mark.parametrize(
    "program",
    ["def f(:", "while True: print(1)", "import os\nos.fork()\nprint(1)", "a = [0] * 10**12"],
)
def test_programs_that_do_not_end_well_fail(program, tmp_path):
    row = {"program": program, "inputs": "1", "output": "1"}
    path = written(tmp_path / "programs.jsonl", [DOUBLE, row])
    settings = config(path, limits={"wall_s": 1.0, "cpu_s": 1})
    assert build_dataset(settings, tmp_path / "data", seed=0).dropped["failed"] == 1


def test_varied_inputs_keep_their_shape():
    stream = Stream(item_key("abd", "varied", 0, 0))
    for _ in range(20):
        lines = varied_text("12 abc\n-7 X", stream).split("\n")
        assert len(lines[0]) == 6 and lines[0][:2].isdigit() and lines[0][3:].islower()
        assert lines[1].startswith("-") and lines[1][-1].isupper()
        text, number, pairs = eval(varied_arguments("'ab', 17, {'k': [1.5, True]}", stream))
        assert len(text) == 2 and 10 <= number <= 99
        assert [type(x) for x in next(iter(pairs.values()))] == [float, bool]
    assert varied_text(" -\n", stream) is None
    assert varied_arguments("lambda x: x", stream) is None
    assert varied_arguments("", stream) is None
    assert varied_arguments("a=3", stream).startswith("a=")
