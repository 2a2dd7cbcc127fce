"""Health in words: each warning appears when its curve goes wrong, and names cause and key."""

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
        ({"reward__mean": (0.2, 0.2)}, "did not rise", "longer SFT stage"),
        (
            {"groups__zero_variance": (0.5, 0.95), "reward__mean": (0.0, 0.05)},
            "scored the same",
            "dynamic_sampling: refill (now skip)",
        ),
        ({"policy__entropy": (0.7, 0.001)}, "Entropy", "entropy_coef (now 0.0) higher"),
        ({"policy__entropy": (0.3, 2.0)}, "Entropy", "learning_rate lower"),
        ({"policy__clip_fraction": (0.0, 0.5)}, "Clipped tokens", "learning_rate lower"),
        ({"policy__kl": (0.0, 5.0)}, "KL", "beta higher"),
        ({"sampler__mismatch": (0.0, 0.4)}, "Sampler and trainer", "bf16 off"),
        (
            {"completions__truncated": (0.0, 0.5)},
            "cut for length",
            "max_completion_length higher (now 16)",
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
