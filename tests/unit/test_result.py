"""result.json says what the evaluations say, and says null where nothing was measured."""

import json

import pytest
from synthetic_run import HELD_OUT, LABELS, write_run

from datagen.whole_file import seal_json
from orchestrator.comparison import compare, headline_pair
from orchestrator.evaluations import Completion, Evaluation, Item, read_evaluations
from orchestrator.result import build_result, evaluation_result, write_result
from orchestrator.run_files import read_run
from orchestrator.statistics import mean_rate, wilson_interval


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "quickstart")


def rows_of(run, checkpoint, split="test"):
    lines = (run / "evaluations" / f"{checkpoint}.jsonl").read_text().splitlines()
    return [row for line in lines if (row := json.loads(line))["split"] == split]


def item(name, greedy, samples=(), split="test"):
    def completion(score):
        return Completion("x", score, "", 1)

    return Item(
        name, "sat", split, "n5 m12", "p", completion(greedy), tuple(map(completion, samples))
    )


def test_result_has_the_promised_shape(run):
    result = write_result(run, {"wall_s": 300.0, "cpu_s": 400.0, "peak_bytes": 2_000_000_000})
    assert (run / "result.json").read_text() == seal_json(result)
    assert list(result["checkpoints"]) == ["base", "sft", "grpo"]
    for measured in result["checkpoints"].values():
        assert list(measured) == ["greedy", "pass@1", "pass@8"]
        for estimate in measured.values():
            assert set(estimate) == {"rate", "low", "high", "n"}
            assert 0 <= estimate["low"] <= estimate["rate"] <= estimate["high"] <= 1
    assert result["chance"] == {"all_true": 0.187, "random": 0.195, "majority": 0.471}
    assert (result["wall_s"], result["cpu_s"], result["peak_bytes"]) == (
        300.0,
        400.0,
        2_000_000_000,
    )


def test_rates_are_recomputed_from_the_rows(run):
    result = build_result(run)["checkpoints"]
    rows = rows_of(run, "grpo")
    solved = [row["greedy"]["score"] for row in rows]
    greedy = result["grpo"]["greedy"]
    assert greedy["rate"] == sum(solved) / len(rows)
    assert (greedy["low"], greedy["high"]) == pytest.approx(
        wilson_interval(greedy["rate"], len(rows))
    )
    shares = [sum(s["score"] for s in row["samples"]) / 8 for row in rows]
    assert result["grpo"]["pass@1"] == pytest.approx(mean_rate(shares, draws=8).as_dict())
    best = [max(s["score"] for s in row["samples"]) for row in rows]
    assert result["grpo"]["pass@8"]["rate"] == pytest.approx(sum(best) / len(rows))


def test_k_follows_the_number_of_samples(tmp_path):
    result = build_result(write_run(tmp_path / "four", num_problems=8, num_samples=4))
    assert list(result["checkpoints"]["sft"]) == ["greedy", "pass@1", "pass@4"]
    result = build_result(write_run(tmp_path / "none", num_problems=8, num_samples=0))
    assert list(result["checkpoints"]["sft"]) == ["greedy"]
    assert set(result["gain"]) & {"greedy", "pass@1"} == {"greedy"}


def test_gain_is_grpo_over_what_it_started_from(run):
    gain = build_result(run)["gain"]
    assert (gain["before"], gain["after"], gain["verdict"]) == ("sft", "grpo", "improved")
    was = {row["id"]: row["greedy"]["score"] for row in rows_of(run, "sft")}
    now = {row["id"]: row["greedy"]["score"] for row in rows_of(run, "grpo")}
    assert gain["wrong_to_right"] == sum(now[i] > was[i] for i in now)
    assert gain["right_to_wrong"] == sum(now[i] < was[i] for i in now)
    assert gain["greedy"]["difference"] == pytest.approx(
        (sum(now.values()) - sum(was.values())) / len(now)
    )
    assert gain["mcnemar_p"] < 1e-6
    assert gain["unpaired"] == 0


def test_sizes_and_the_held_out_split(run):
    result = build_result(run)
    assert list(result["sizes"]["grpo"]) == list(LABELS)
    total = sum(size["greedy"]["n"] for size in result["sizes"]["grpo"].values())
    assert total == result["checkpoints"]["grpo"]["greedy"]["n"]
    assert result["held_out_sizes"] == []
    assert result["other_splits"] == {}
    unseen = result["unseen"]["unseen"]
    assert unseen["held_out_sizes"] == [HELD_OUT]
    assert unseen["chance"]["majority"] == 0.402
    assert unseen["checkpoints"]["grpo"]["greedy"]["n"] == 30


def test_usage_of_an_earlier_result_is_kept(tmp_path):
    run = write_run(tmp_path / "run", num_problems=8)
    assert build_result(run)["cpu_s"] == 455.2
    (run / "result.json").unlink()
    assert build_result(run)["cpu_s"] is None


def test_what_is_missing_is_null_not_invented(tmp_path):
    run = write_run(tmp_path / "run", num_problems=8, checkpoints=("base",))
    (run / "datasets" / "sat" / "manifest.json").unlink()
    result = build_result(run)
    assert result["chance"] == {"all_true": None, "random": None, "majority": None}
    assert result["held_out_sizes"] is None
    assert result["gain"] is None
    assert list(result["other_splits"]) == ["unseen"]
    (run / "evaluations" / "base.jsonl").unlink()
    assert build_result(run)["checkpoints"] == {}


def test_unscored_is_left_out_and_counted():
    evaluation = Evaluation("sft", (item("a", 1.0), item("b", None), item("c", 0.0)))
    assert evaluation.measure("greedy").n == 2
    assert evaluation.measure("greedy").rate == 0.5
    assert evaluation.num_unscored("greedy") == 1
    sampled = item("d", 1.0, samples=(1.0, None, 0.0))
    assert sampled.value("pass@1") == 0.5
    assert sampled.value("pass@3") is None


def test_partial_credit_is_not_solved():
    assert item("a", 0.99).value("greedy") == 0.0


def test_problems_are_paired_by_id_not_by_position():
    before = Evaluation("sft", (item("a", 0.0), item("b", 1.0), item("x", 1.0)))
    after = Evaluation("grpo", (item("b", 1.0), item("a", 1.0), item("y", 0.0)))
    comparison = compare(before, after)
    assert [pair[0].id for pair in comparison.gained] == ["a"]
    assert [pair[0].id for pair in comparison.kept_solved] == ["b"]
    assert comparison.lost == () and comparison.num_unpaired == 2
    assert comparison.differences["greedy"].n == 2


def test_headline_starts_where_grpo_started(run):
    files = read_run(run)
    assert headline_pair(files, ["base", "sft", "grpo"]) == ("sft", "grpo")
    assert headline_pair(files, ["base", "grpo"]) == ("base", "grpo")
    assert headline_pair(files, ["base", "sft"]) == ("base", "sft")
    assert headline_pair(files, ["base"]) is None


def test_checkpoints_stand_in_the_order_of_the_stages(tmp_path):
    run = write_run(tmp_path / "run", num_problems=4)
    (run / "evaluations" / "sft.jsonl").rename(run / "evaluations" / "another.jsonl")
    assert list(read_evaluations(read_run(run))) == ["base", "grpo", "another"]


def test_a_torn_last_line_is_left_out_and_a_broken_one_is_named(tmp_path):
    run = write_run(tmp_path / "run", num_problems=4)
    path = run / "metrics.jsonl"
    whole = len(read_run(run).metrics)
    path.write_text(path.read_text() + '{"stage": "grpo", "st')
    assert len(read_run(run).metrics) == whole
    path.write_text('{"stage": "sft"}\n{broken\n{"stage": "grpo"}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl:2: not a line of JSON"):
        read_run(run)


def test_rows_written_again_after_a_resume_count_once(tmp_path):
    run = write_run(tmp_path / "run", num_problems=4)
    path = run / "metrics.jsonl"
    first = json.loads(path.read_text().splitlines()[0])
    path.write_text(path.read_text() + json.dumps({**first, "loss/train": 7.5}) + "\n")
    rows = [row for row in read_run(run).metrics if (row["stage"], row["step"]) == ("sft", 10)]
    assert [row["loss/train"] for row in rows] == [7.5]
    assert rows[0]["optim/lr"] == first["optim/lr"]


def test_mistakes_name_the_place(tmp_path):
    with pytest.raises(ValueError, match="no run at"):
        read_run(tmp_path)
    run = write_run(tmp_path / "run", num_problems=4)
    (run / "evaluations" / "base.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(ValueError, match=r"base.jsonl: row 1 is no evaluated problem"):
        build_result(run)


def answered(task, solved):
    """One evaluated row of a task."""
    answer = {"text": "", "score": float(solved), "reason": "", "num_tokens": 1}
    row = {"id": f"{task}:{solved}", "task": task, "split": "test", "label": task, "prompt": ""}
    return {**row, "greedy": answer, "samples": []}


def test_each_task_of_a_dataset_is_measured_against_its_own_guessing():
    manifest = {"chance": {"test": {"sat": {"random": 0.2}, "abd": {"random_input": 0.1}}}}
    rows = [answered("sat", True), answered("abd", True), answered("abd", False)]
    both = evaluation_result("model", rows, manifest)["test"]
    assert both["chance"] == {}
    assert both["tasks"]["sat"]["chance"] == {"random": 0.2}
    assert both["tasks"]["sat"]["checkpoints"]["model"]["greedy"]["rate"] == 1.0
    assert both["tasks"]["abd"]["checkpoints"]["model"]["greedy"]["rate"] == 0.5
    alone = evaluation_result("model", rows[1:], manifest)["test"]
    assert alone["chance"] == {"random_input": 0.1}
    assert "tasks" not in alone
