"""CRUXEval from its file to the scores of a chat model, as a user does it."""

import json
from pathlib import Path

import pytest

from datagen.dataset import read_split
from reward_fns.registry import choose_rewards, score_rows
from tests.benchmarks import benchmark
from tests.command import clutch, succeeded
from tests.small_models import save_small_model

pytestmark = pytest.mark.integration
CRUXEVAL = benchmark("cruxeval/cruxeval.jsonl")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cruxeval") / "cruxeval"
    succeeded(clutch("datagen", "abd", "--out", folder, "--from-cruxeval", CRUXEVAL))
    return folder


def test_every_recorded_argument_is_right(data: Path) -> None:
    rows = list(read_split(data, "test"))
    given = [json.loads(line) for line in CRUXEVAL.read_text().splitlines()]
    scores = score_rows(choose_rewards(None), rows, [row.answer for row in rows])
    assert [s.value for s in scores] == [1.0] * len(given)
    assert [row.id for row in rows] == [f"abd:cruxeval:{row['id']}" for row in given]
    for row, source in zip(rows, given, strict=True):
        assert f"```python\n{source['code']}\n```" in row.prompt
        assert "_canonical" not in row.prompt
    others = [row.answer for row in rows[1:]] + [rows[0].answer]
    assert (
        sum(s.value or 0 for s in score_rows(choose_rewards(None), rows, others)) < len(rows) / 10
    )


def test_a_chat_model_is_measured_on_it(data: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "llama", tmp_path / "answers.jsonl"
    save_small_model("llama", model, max_position_embeddings=2048)
    printed = succeeded(
        clutch(
            "evaluate", model, "--data", data, "--limit=8", "--num-samples=2",
            "--max-completion-length=16", "--out", out, "--json",
        )
    )  # fmt: skip
    assert json.loads(printed)["test"]["checkpoints"]["llama"]["greedy"]["n"] == 8
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["task"] for row in rows} == {"abd"} and len(rows) == 8
    assert {row["greedy"]["reason"] for row in rows} <= {"no_input", "error", "wrong_output"}
