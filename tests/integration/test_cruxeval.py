"""CRUXEval's 600 rows from the file to the score, as a user does it."""

import json
from pathlib import Path

import pytest

from datagen.dataset import read_split
from reward_fns.abd import score_abd_batch
from tests.command import ROOT, clutch, succeeded

pytestmark = pytest.mark.integration
CRUXEVAL = ROOT.parent / "shared" / "data" / "cruxeval" / "cruxeval.jsonl"


@pytest.mark.skipif(not CRUXEVAL.is_file(), reason="CRUXEval's rows are not beside the checkout")
def test_every_recorded_input_of_cruxeval_scores_one(tmp_path: Path) -> None:
    data = tmp_path / "cruxeval"
    printed = succeeded(
        clutch("datagen", "abd", "--out", data, "--from-cruxeval", CRUXEVAL, "--json")
    )
    manifest = json.loads(printed)
    given = [json.loads(line) for line in CRUXEVAL.read_text().splitlines()]
    rows = list(read_split(data, "test"))
    assert len(rows) == len(given) == manifest["splits"]["test"]["num_rows"] == 600
    assert sum(manifest["dropped"].values()) == 0
    assert manifest["difficulty"] == {"test": {"cruxeval": 600}}
    assert [row.id for row in rows] == [f"abd:cruxeval:{row['id']}" for row in given]
    answers = [f"<INPUT>\n{row['input']}\n</INPUT>" for row in given]
    scores = score_abd_batch(answers, [row.env for row in rows])
    assert [score.value for score in scores] == [1.0] * 600
    for row, source in zip(rows, given, strict=True):
        assert f"```python\n{source['code']}\n```" in row.prompt
        assert "_canonical" not in row.prompt
