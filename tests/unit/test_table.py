"""The table in the terminal and in a log, and the SCP evidence, show the result's figures."""

import io
import json
import os
from datetime import datetime

import pytest
from synthetic_run import write_run

from orchestrator.result import build_result
from orchestrator.scp import scp_metrics
from orchestrator.table import print_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "quickstart")


def test_a_log_gets_plain_markdown(run):
    out = io.StringIO()
    result = build_result(run)
    print_table(result, out)
    text = out.getvalue()
    assert text.isascii() and "\x1b" not in text
    lines = text.splitlines()
    assert all(line == line.rstrip() for line in lines)
    greedy = result["checkpoints"]["grpo"]["greedy"]
    cell = "{:.1f} ({:.1f}-{:.1f})".format(*(100 * greedy[k] for k in ("rate", "low", "high")))
    assert any(line.startswith("| grpo") and cell in line for line in lines)
    for guess, rate in (("all True", "18.7"), ("random", "19.5"), ("majority", "47.1")):
        assert any(guess in line and rate in line for line in lines)
    assert "120 problems" in text and "unseen: sizes held out of training" in text
    assert "grpo against sft: improved; greedy +" in lines[-1]


def test_a_terminal_of_80_columns_shows_it_whole(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    print_table(build_result(run), out)
    assert "…" not in out.getvalue()
    row = next(line for line in out.getvalue().splitlines() if "sft  " in line)
    assert row.count("(") == 3 and row.count(")") == 3


def test_an_empty_result_prints_too(run):
    empty = {"checkpoints": {}, "chance": dict.fromkeys(("all_true", "random", "majority"))}
    out = io.StringIO()
    print_table(empty, out)
    assert "not evaluated" in out.getvalue() and "No gain to tell" in out.getvalue()


def test_unknown_chance_is_called_unknown(run):
    result = build_result(run) | {"chance": dict.fromkeys(("all_true", "random", "majority"))}
    out = io.StringIO()
    print_table(result, out)
    assert out.getvalue().count("unknown") >= 6


def test_scp_evidence_holds_true_values_and_times(run):
    evidence = scp_metrics(run)
    assert json.loads(json.dumps(evidence)) == evidence
    greedy = build_result(run)["checkpoints"]["grpo"]["greedy"]
    assert evidence["metrics"]["accuracy"] == greedy["rate"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss/train"] for row in rows if row["stage"] == "sft"]
    assert evidence["metrics"]["loss"] == losses[-1]
    assert evidence["run_id"] == "2b6f0a52-8e0f-4c55-9d0c-5d5a3a1c7e11"
    assert evidence["dataset"] == "sat@bbbbbbbbbbbb" and evidence["model"] == "tiny-3x96"
    started, ended = (datetime.fromisoformat(evidence[k]) for k in ("started_at", "ended_at"))
    assert started.tzinfo and ended.tzinfo and ended > started


def test_scp_evidence_ends_with_the_last_thing_written(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=8)
    os.utime(folder / "evaluations" / "grpo.jsonl", (1_800_000_000, 1_800_000_000))
    assert scp_metrics(folder)["ended_at"] == "2027-01-15T08:00:00.000+00:00"


def test_scp_without_sft_says_what_its_loss_is(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=8)
    (folder / "metrics.jsonl").unlink()
    evidence = scp_metrics(folder)
    assert evidence["metrics"]["loss"] == pytest.approx(1 - evidence["metrics"]["accuracy"])
    assert "share of problems not solved" in evidence["notes"]


def test_scp_refuses_a_run_without_evaluations(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=8, checkpoints=())
    with pytest.raises(ValueError, match="has no evaluations: finish the run"):
        scp_metrics(folder)
