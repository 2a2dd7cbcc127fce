"""ABD passes the template that every task passes, at each level and in each style."""

import json

import pytest

from datagen.abd_config import AbdConfig
from reward_fns.abd import score_abd
from tests.task_template import check_task


def config(style, *levels):
    programs = {"type": "procedural", "levels": [{"level": level} for level in levels]}
    splits = {"test": 40, "train": 30}
    return AbdConfig.model_validate({"style": style, "programs": programs, "splits": splits})


@pytest.mark.parametrize(
    ("style", "levels"), [("affine", ("micro", "easy", "medium", "hard")), ("compact", ("micro",))]
)
def test_abd_passes_the_template(style, levels, tmp_path):
    rows = check_task(config(style, *levels), "abd", tmp_path)
    assert {json.loads(row.difficulty)["label"] for row in rows} == set(levels)


HOSTILE_INPUTS = {
    "nul": "\x00" * 1000,
    "binary": "".join(map(chr, range(256))),
    "megabytes": "7 " * 1_000_000,
    "long_number": "9" * 100_000,
    "surrogate": "\ud800",
    "code": "__import__('os')._exit(0)",
    "output": "{expected}",
    "newlines": "\n" * 100_000,
    "tags": "<INPUT>" * 10_000,
    "fullwidth": "１２３",
}


@pytest.mark.parametrize("name", HOSTILE_INPUTS)
def test_hostile_inputs_score_nothing(name, tmp_path):
    rows = check_task(config("affine", "micro", "medium"), "abd", tmp_path)
    for row in rows[:3]:
        expected = json.loads(row.env)["expected_output"]
        text = HOSTILE_INPUTS[name].replace("{expected}", expected)
        assert score_abd(f"<INPUT>\n{text}\n</INPUT>", row.env).value == 0.0
