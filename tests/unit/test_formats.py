"""Export formats: the exact records, the same bytes each time, and files whole or absent."""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tracemalloc

import pyarrow.parquet as pq
import pytest

from datagen.formats import gradients
from datagen.formats.export import export_rows, file_name
from datagen.formats.registry import FORMATS, get_format
from tests.export_rows import PROGRAM, abd_row, mixed_rows, sat_row, trace_row

FOR_PROBLEMS = ("affine_grpo", "affine_grpo_string", "affine_sft", "gradients", "trl", "verl")
FOR_BOTH = ("trace", "tunix_sft", "training_example", "jsonl")
SAT_RECORD_FORMATS = ("affine_sft",)  # its scores of ABD rows would run programs


def rows_for(name, count=2000):
    return map(sat_row, range(count)) if name in SAT_RECORD_FORMATS else mixed_rows(count)


def record(name, row):
    return get_format(name).record(row)


def test_the_registry_holds_every_format_under_its_name():
    assert set(FORMATS) == {*FOR_PROBLEMS, *FOR_BOTH}
    assert all(name == made.name and made.about for name, made in FORMATS.items())


def test_an_unknown_format_lists_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="format 'trk' is unknown: use one of trace, tunix_sft"):
        export_rows("trk", [sat_row(0)], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_trace_becomes_tunix_records():
    row = trace_row(15)
    answer = "Reasoning:\n1. Read 15 and 27\n2. Add 15 and 27\nAnswer: 42"
    metadata = {"trace_version": "1.0", "topic": "addition", "index": 15}
    assert record("trace", row) == {
        "id": row.id,
        "prompts": "What is 15 + 27?",
        "trace_steps": ["Read 15 and 27", "Add 15 and 27"],
        "final_answer": "42",
        "metadata": metadata,
    }
    assert record("tunix_sft", row) == {
        "id": row.id,
        "prompts": "<start_of_turn>user\nWhat is 15 + 27?<end_of_turn>\n"
        f"<start_of_turn>model\n{answer}<end_of_turn>",
        "final_answer": "42",
        "metadata": {**metadata, "format": "tunix_sft"},
    }
    assert record("training_example", row) == {
        "id": row.id,
        "prompt": "What is 15 + 27?\n\nPlease show your reasoning steps.",
        "response": answer,
        "metadata": {"source_trace_id": row.id, **metadata},
    }


def test_a_problem_has_no_reasoning_in_tunix_records():
    row = sat_row(0)
    assert record("trace", row)["trace_steps"] == []
    assert record("tunix_sft", row)["prompts"] == (
        f"<start_of_turn>user\n{row.prompt}<end_of_turn>\n"
        "<start_of_turn>model\nAnswer: +1 +2 +3<end_of_turn>"
    )
    example = record("training_example", row)
    assert (example["prompt"], example["response"]) == (row.prompt, "Answer: +1 +2 +3")


def test_affine_records():
    sat = {"cls": [[1, -2], [2, -3], [3, -1]], "sol": {"1": True, "2": True, "3": True}}
    abd = {"program": PROGRAM, "expected_output": "25\n"}
    assert record("affine_grpo", sat_row(0)) == {
        "prompt": sat_row(0).prompt,
        "env": {"sat": sat, "abd": False},
    }
    assert record("affine_grpo", abd_row(7))["env"] == {"sat": False, "abd": abd}
    text = record("affine_grpo_string", abd_row(7))["env"]
    assert json.loads(text) == {"sat": False, "abd": abd}


def test_the_sign_of_each_literal_is_in_the_solution():
    row = dataclasses.replace(sat_row(0), answer="x1=False, x2=False, x3=False")
    sol = record("affine_grpo", row)["env"]["sat"]["sol"]
    assert sol == {"1": False, "2": False, "3": False}


@pytest.mark.parametrize("answer", ["UNSAT", "-1 +2 +3", "+1 +2", "x1=True"])
def test_affine_grpo_refuses_what_is_no_solution(answer):
    row = dataclasses.replace(sat_row(4), answer=answer)
    with pytest.raises(ValueError, match="the answer of row 'sat:train:0:4' is none"):
        record("affine_grpo", row)


def test_affine_sft_scores_answers_that_were_not_evaluated():
    right = record("affine_sft", sat_row(0))
    assert list(right) == [
        "prompt", "model", "response", "environment", "score", "miner_uid", "response_success",
        "response_latency", "challenge_id",
    ]  # fmt: skip
    assert (right["environment"], right["score"], right["miner_uid"]) == ("SAT", 1.0, -1)
    wrong = record("affine_sft", dataclasses.replace(sat_row(0), answer="-1 +2 +3"))
    assert wrong["score"] == 0.0


def test_affine_sft_gives_a_recorded_evaluation_back():
    kept = {
        "model": "m", "environment": "SAT", "score": 0.75, "miner_uid": 9,
        "response_success": True, "response_latency": 1.5, "challenge_id": None,
    }  # fmt: skip
    row = dataclasses.replace(sat_row(0), difficulty=json.dumps({"label": "x", "evaluation": kept}))
    assert record("affine_sft", row) == {"prompt": row.prompt, "response": row.answer, **kept}


def test_gradients_extra_column_is_a_json_string_of_affine_names():
    extra = json.loads(record("gradients", sat_row(0))["extra_data"])
    assert extra["task_type"] == "SAT"
    assert extra["cls"] == [[1, -2], [2, -3], [3, -1]]
    assert (extra["num_vars"], extra["satisfiable"]) == (3, True)
    extra = json.loads(record("gradients", abd_row(7))["extra_data"])
    assert extra == {"task_type": "ABD", "program": PROGRAM, "expected_output": "25\n"}


def test_verl_record():
    row = sat_row(2)
    made = record("verl", row)
    assert made["data_source"] == "clutch/sat"
    assert made["prompt"] == [{"role": "user", "content": row.prompt}]
    assert made["reward_model"] == {"style": "rule", "ground_truth": row.env}
    assert made["extra_info"]["index"] == 2
    assert record("verl", abd_row(0))["ability"] == "code"


def test_trl_has_all_columns(tmp_path):
    export_rows("trl", mixed_rows(10), tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == [
        dataclasses.asdict(row) for row in mixed_rows(10)
    ]


@pytest.mark.parametrize("name", FOR_PROBLEMS)
def test_formats_of_problems_refuse_traces_by_id(name, tmp_path):
    row = trace_row(0)
    with pytest.raises(ValueError, match=f"format '{name}' is for problems, and row '{row.id}'"):
        export_rows(name, [row], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["affine_grpo", "affine_grpo_string", "gradients"])
def test_other_tasks_are_refused_by_row(name):
    row = dataclasses.replace(sat_row(3), id="bash:3", task="bash")
    with pytest.raises(ValueError, match="row 'bash:3' is bash"):
        record(name, row)


@pytest.mark.parametrize("env", ["not json", "[]", "{}", '{"program":1,"expected_output":"x"}'])
@pytest.mark.parametrize("name", ["affine_grpo", "gradients"])
def test_a_broken_env_names_its_row(name, env):
    with pytest.raises(ValueError, match="row 'abd:train:0:1': env"):
        record(name, dataclasses.replace(abd_row(1), env=env))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_same_rows_give_the_same_bytes(name, tmp_path):
    first = export_rows(name, rows_for(name), tmp_path / "a")
    second = export_rows(name, list(rows_for(name)), tmp_path / "b")
    assert first.num_rows == 2000
    assert first.num_bytes == (tmp_path / "a").stat().st_size
    assert first.sha256 == second.sha256
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("name", FOR_BOTH)
def test_traces_give_the_same_bytes(name, tmp_path):
    hashes = {
        export_rows(name, map(trace_row, range(50)), tmp_path / end).sha256 for end in ("a", "b")
    }
    assert len(hashes) == 1


def test_json_is_the_same_in_processes_with_other_hash_seeds(tmp_path):
    program = (
        "import sys, pathlib; from datagen.formats.export import export_rows;"
        "from tests.export_rows import mixed_rows;"
        "print(export_rows('gradients', mixed_rows(2000), pathlib.Path(sys.argv[1])).sha256)"
    )
    here = export_rows("gradients", mixed_rows(2000), tmp_path / "here").sha256
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "there")],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


def test_gradients_refuses_fewer_rows_than_its_floor(tmp_path):
    path = tmp_path / "rows.json"
    with pytest.raises(ValueError, match=r"needs at least 2,000 rows, and there are 1,999"):
        export_rows("gradients", mixed_rows(1999), path)
    assert list(tmp_path.iterdir()) == []
    assert export_rows("gradients", mixed_rows(2000), path).num_rows == 2000
    assert len(json.loads(path.read_text())) == 2000


def test_gradients_stops_at_its_size_limit(tmp_path, monkeypatch):
    small = dataclasses.replace(gradients.FORMAT, max_bytes=100_000)
    monkeypatch.setitem(FORMATS, "gradients", small)
    drawn = []
    rows = (drawn.append(row) or row for row in mixed_rows(5000))
    with pytest.raises(
        ValueError, match=r"takes at most 100,000 bytes, reached after \d,?\d+ rows"
    ):
        export_rows("gradients", rows, tmp_path / "rows.json")
    assert len(drawn) < 2000
    assert list(tmp_path.iterdir()) == []
    assert gradients.FORMAT.max_bytes < 2_147_483_646


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_rows_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="there are no rows to export"):
        export_rows(name, [], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["jsonl", "trl", "affine_grpo_string"])
def test_a_failure_half_way_leaves_the_old_file(name, tmp_path):
    def broken():
        yield from mixed_rows(5000)
        raise KeyboardInterrupt

    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        export_rows(name, broken(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_dead_process_left_is_removed(tmp_path):
    done = subprocess.Popen(["true"])
    done.wait()
    (tmp_path / f".out.partial-{os.uname().nodename}-{done.pid}").write_text("half")
    (tmp_path / f".out.partial-{os.uname().nodename}-{os.getppid()}").write_text("alive")
    export_rows("jsonl", [sat_row(0)], tmp_path / "out")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f".out.partial-{os.uname().nodename}-{os.getppid()}", "out"]


@pytest.mark.parametrize("name", ["jsonl", "trl", "affine_grpo"])
def test_memory_does_not_grow_with_the_rows(name, tmp_path):
    def peak(count):
        tracemalloc.start()
        try:
            export_rows(name, map(sat_row, range(count)), tmp_path / "out")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(24_000) < 1.5 * peak(8000) + 100_000


def test_files_are_named_as_their_readers_expect():
    now = datetime.datetime(2026, 11, 3, 4, 5, 6)
    assert file_name("affine_grpo", "mine", now) == "synthetic_dataset_20261103_040506.json"
    assert file_name("affine_sft", "mine", now) == "affine_data_20261103_040506.json"
    assert file_name("trl", "mine", now) == "mine.parquet"
