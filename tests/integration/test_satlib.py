"""SATLIB from archive to score, as a user does it."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import benchmark
from tests.command import clutch, succeeded
from trainers.checkpoint import export_model
from trainers.config import TinyModelConfig
from trainers.models.tiny import build_tiny_model, build_tiny_tokenizer

pytestmark = pytest.mark.integration


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A model that can name 20 variables and read 91 clauses."""
    config = TinyModelConfig(max_variables=20, max_position_embeddings=512)
    folder = tmp_path / "model"
    export_model(build_tiny_model(config, 0), build_tiny_tokenizer(config), folder, "card", {})
    return folder


def test_a_checkpoint_is_scored_on_satlib(checkpoint: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "uf20", tmp_path / "answers.jsonl"
    archive = benchmark("satlib/uf20-91.tar.gz")
    succeeded(clutch("datagen", "sat", "--out", data, "--from-dimacs", archive, "--style=compact"))
    printed = succeeded(
        clutch(
            "evaluate", checkpoint, "--data", data, "--limit=20", "--num-samples=2",
            "--max-completion-length=24", "--out", out, "--json",
        )
    )  # fmt: skip
    measures = json.loads(printed)["test"]["checkpoints"]["model"]
    assert measures["greedy"]["n"] == 20
    assert 0 <= measures["greedy"]["low"] <= measures["greedy"]["high"] <= 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 20 and all(len(row["samples"]) == 2 for row in rows)
    assert {row["greedy"]["score"] for row in rows} <= {0.0, 1.0}
