"""Health in words: each warning appears when its curve goes wrong, and names cause and key."""

import json
from pathlib import Path

import pytest

from orchestrator.curves import curves, of_stage, thinned
from orchestrator.health import grpo_health, unrecorded

STAGE = {
    "name": "grpo",
    "type": "grpo",
    "learning_rate": 5e-4,
    "dynamic_sampling": "skip",
    "entropy_coef": 0.0,
    "max_completion_length": 16,
    "beta": 0.0,
    "max_steps": 1000,
}


def health(**series):
    """Findings on metrics given as first and last value, over 20 rows on a straight line."""
    rows = []
    for i in range(20):
        row = {"stage": "grpo", "step": 10 * (i + 1)}
        for metric, (first, last) in series.items():
            row[metric.replace("__", "/")] = first + (last - first) * i / 19
        rows.append(row)
    return grpo_health(STAGE, of_stage(curves(rows), "grpo"))


def warnings(**series):
    return [finding for finding in health(**series) if finding.level == "warning"]


@pytest.mark.parametrize(
    ("series", "words", "key"),
    [
        (
            {"reward__mean": (0.2, 0.2), "groups__zero_variance": (0.9, 0.9)},
            "did not rise",
            "longer SFT stage",
        ),
        (
            {"reward__mean": (0.2, 0.2), "policy__entropy": (0.7, 0.7)},
            "did not rise",
            "learning_rate (now 0.0005) higher",
        ),
        (
            {"reward__mean": (0.2, 0.2), "policy__entropy": (0.7, 0.5)},
            "did not rise",
            "learning_rate (now 0.0005) lower",
        ),
        (
            {"groups__zero_variance": (0.5, 0.95), "reward__mean": (0.0, 0.05)},
            "scored the same",
            "dynamic_sampling: refill (now skip)",
        ),
        ({"policy__entropy": (0.7, 0.001)}, "Entropy", "entropy_coef (now 0.0) higher"),
        ({"policy__entropy": (0.3, 2.0)}, "Entropy", "learning_rate (now 0.0005) lower"),
        ({"optim__grad_norm": (0.3, 90.0)}, "gradient", "learning_rate (now 0.0005) lower"),
        ({"policy__clip_fraction": (0.0, 0.5)}, "Clipped tokens", "learning_rate lower"),
        ({"policy__kl": (0.0, 5.0)}, "KL", "beta higher"),
        ({"sampler__mismatch": (0.0, 0.4)}, "Sampler and trainer", "bf16 off"),
        (
            {"completions__truncated": (0.0, 0.5)},
            "cut for length",
            "max_completion_length (now 16) higher",
        ),
        ({"reward__malformed": (0.9, 0.5)}, "could not be read", "longer SFT stage"),
    ],
)
def test_trouble_is_a_warning_with_cause_and_key(series, words, key):
    found = [finding for finding in warnings(**series) if words in finding.text]
    assert len(found) == 1
    assert key in found[0].key and found[0].cause


def test_a_reward_that_falls_back_is_a_warning():
    rows = [
        {"stage": "grpo", "step": i, "reward/mean": 0.8 if 5 < i < 10 else 0.3 + i / 100}
        for i in range(1, 21)
    ]
    found = grpo_health(STAGE, of_stage(curves(rows), "grpo"))
    assert "fell back" in found[0].text and "learning_rate (now 0.0005) lower" in found[0].key


def recorded(name):
    """Findings on a real small run that went this way, by level."""
    lines = (Path(__file__).resolve().parents[1] / "data" / "grpo_stages.jsonl").read_text()
    run = next(run for line in lines.splitlines() if (run := json.loads(line))["run"] == name)
    found = {"warning": [], "note": [], "good": []}
    for finding in grpo_health(run["stage"], of_stage(curves(run["rows"]), run["stage"]["name"])):
        found[finding.level].append(finding)
    return found


@pytest.mark.parametrize(("name", "rate"), [("exploded", "1.0"), ("fallen", "0.01")])
def test_a_run_that_exploded_or_fell_is_told_to_lower_its_rate(name, rate):
    """At a rate of 1 two steps undo everything; at 0.01 the reward rises to 0.7 first."""
    found = recorded(name)
    texts = " ".join(finding.text for finding in found["warning"])
    for words in ("reward fell back", "scored the same", "Entropy", "could not be read"):
        assert words in texts
    assert all(f"learning_rate (now {rate}) lower" in f.key for f in found["warning"])
    assert not any("Entropy" in f.text or "Clipped" in f.text for f in found["good"])


def test_a_run_whose_samples_are_all_alike_is_told_to_explore():
    found = recorded("collapsed")
    assert {f.text.split()[0] for f in found["warning"]} == {"Groups", "Entropy"}
    entropy = next(f for f in found["warning"] if "Entropy" in f.text)
    assert "no longer explore" in entropy.cause and "entropy_coef (now 0.0) higher" in entropy.key


def test_a_frozen_run_is_told_to_raise_its_rate():
    found = recorded("frozen")
    (reward,) = [f for f in found["warning"] if "reward" in f.text]
    assert "did not rise" in reward.text and "stands still" in reward.cause
    assert "learning_rate (now 1e-09) higher" in reward.key


def test_a_saturated_run_has_nothing_left_to_learn():
    found = recorded("saturated")
    assert found["warning"] == []
    reward = next(f for f in found["note"] if "reward" in f.text)
    assert "solved from the start" in reward.text and "harder sizes" in reward.key


def test_a_run_that_learns_is_not_called_sick():
    found = recorded("sound")
    assert "rising" in found["note"][0].text
    assert [f.text[:26] for f in found["warning"]] == ["Answers that could not be "]


def test_cut_completions_that_hold_their_answer_are_no_warning():
    """As in the quickstart: six literals after two tokens leave no room for the end."""
    series = {"reward__mean": (0.3, 0.84), "completions__truncated": (0.0, 0.16)}
    (note,) = [
        f
        for f in health(**series, completions__truncated_reward=(0.3, 0.74))
        if "cut for length" in f.text
    ]
    assert note.level == "note" and "lack only their end" in note.text
    assert "They score 0.73 on average, all completions 0.83" in note.text
    for lost in ({}, {"completions__truncated_reward": (0.3, 0.1)}):
        (found,) = warnings(**series, **lost)
        assert "cut for length" in found.text


def test_a_sound_stage_has_no_warning():
    series = {
        "reward__mean": (0.2, 0.8),
        "groups__zero_variance": (0.1, 0.4),
        "policy__entropy": (0.6, 0.15),
        "policy__clip_fraction": (0.0, 0.01),
        "sampler__mismatch": (0.0, 1e-6),
        "completions__truncated": (0.2, 0.0),
        "reward__malformed": (0.2, 0.0),
        "optim__grad_norm": (0.5, 0.5),
    }
    assert warnings(**series) == []
    rising = next(f for f in health(**series) if "still rising" in f.text)
    assert rising.level == "note" and "max_steps (now 1000)" in rising.key


def test_groups_solved_by_every_sample_are_a_note_that_asks_for_harder_problems():
    found = health(groups__zero_variance=(0.2, 0.9), reward__mean=(0.2, 0.9))
    finding = next(f for f in found if "scored the same" in f.text)
    assert finding.level == "note" and "harder sizes" in finding.key


def test_what_was_not_recorded_is_named_and_not_judged():
    assert grpo_health(STAGE, {}) == []
    assert "entropy" in unrecorded({}) and len(unrecorded({})) == 8


def test_curves_leave_out_what_is_no_number():
    rows = [
        {"stage": "sft", "step": 1, "loss/train": 2.0, "note": "x", "flag": True},
        {"stage": "sft", "step": 2, "loss/train": float("nan")},
        {"stage": "sft", "step": 3, "loss/train": 1.0},
        {"stage": "sft", "loss/train": 9.0},
    ]
    (curve,) = curves(rows)
    assert (curve.steps, curve.values) == ((1, 3), (2.0, 1.0))


def test_long_curves_are_thinned_to_means():
    rows = [{"stage": "sft", "step": i, "loss/train": float(i)} for i in range(1000)]
    (curve,) = curves(rows)
    short = thinned(curve, 100)
    assert len(short.values) == 100 and short.values[0] == pytest.approx(4.5)
    assert sum(short.values) / 100 == pytest.approx(sum(curve.values) / 1000)
    assert thinned(short, 100) is short
