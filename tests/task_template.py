"""What every task must pass: a test file hands its configs and reward to `check_task`."""

import dataclasses
from pathlib import Path

from datagen.config import DatasetConfig
from datagen.dataset import build_dataset, read_split
from reward_fns.records import Problem
from reward_fns.registry import get_reward

HOSTILE = {
    "empty": "",
    "nul": "\x00" * 1000,
    "megabytes": "x1=True, " * 500_000,
    "nested_tags": "<answer>" * 200_000,
    "crossed_tags": "</answer>" * 100_000 + "<answer>" * 100_000,
    "nested_brackets": "[" * 500_000 + "]" * 500_000,
    "think_bomb": "</think>" * 200_000,
    "long_number": "x" + "9" * 1_000_000 + "=True",
    "long_number_answer": "<answer>x" + "1" * 5_000 + "=True</answer>",
    "long_literal": "<answer>-" + "1" * 5_000 + "</answer>",
    "fullwidth_digits": "x１=True, x２=True, x３=True",
    "superscripts": "x¹=True x²=True",
    "arabic_digits": "<answer>١ ٢ ٣</answer>",
    "lone_surrogate": "\ud800x1=True\udfff",
    "right_to_left": "\u202ex1=eurT\u202c",
    "combining": "x1\u0301=True\u0301" * 1000,
    "blanks": "<answer>x1" + " " * 16_000 + "</answer>",
    "blanks_and_names": "<answer>" + "x1 \t" * 4_000 + "</answer>",
    "signs": "<answer>" + "+-" * 8_000 + "</answer>",
    "almost_literals": "<answer>" + "1 " * 8_000 + "x</answer>",
    "almost_assignments": "<answer>" + "x1=Tru " * 2_000 + "</answer>",
    "equals": "<answer>" + "=" * 16_000 + "</answer>",
    "newlines": "\n" * 1_000_000,
    "markup": "<answer>" + "*_`$" * 4_000 + "</answer>",
    "negations": "<answer>" + "not ( ¬ ~ " * 1_500 + "</answer>",
    "latex": "<answer>" + "\\begin{" * 1_000 + "\\" * 9_000 + "</answer>",
    "json_bomb": '{"a":' * 100_000,
}
"""Texts that try to make a scorer raise, hang or give a reward."""


def check_task(config: DatasetConfig, reward_name: str, folder: Path) -> list[Problem]:
    """Build a dataset twice and score its gold, each other row's gold, and hostile text.

    `config` must yield a split `test`. Returns its rows.
    """
    first = build_dataset(config, folder / "first", seed=7)
    second = build_dataset(config, folder / "second", seed=7)
    assert first.dataset_hash == second.dataset_hash
    rows = list(read_split(folder / "first", "test"))
    assert len(rows) == first.splits["test"].num_rows > 0
    assert len({row.id for row in rows}) == len(rows)
    reward = get_reward(reward_name)
    for row in rows:
        assert row.task == reward.task
        assert reward.score(row.answer, row.env).value == 1.0, row
    row = rows[0]
    for name, text in HOSTILE.items():
        assert reward.score(text, row.env).value == 0.0, name
        assert reward.reward_fn(completions=[text], task=[row.task], env=[row.env]) == [0.0], name
    other = dataclasses.replace(row, task="other")
    columns = {"task": [other.task], "env": [other.env]}
    assert reward.reward_fn(completions=[row.answer], **columns) == [None]
    return rows
