"""What --dry-run prints: the resolved config with sources, and each step with its reason."""

import json
from pathlib import Path

import pytest

from orchestrator.config import ResolvedConfig, load_config
from orchestrator.plan import PlanItem, print_plan
from tests.small_run import CONFIG

PLAN = [
    PlanItem("dataset main", "skip", "its manifest [is] there"),
    PlanItem("sft", "resume", "from step 40 of 100"),
    PlanItem("grpo", "run", "not started"),
]


@pytest.fixture
def resolved(tmp_path: Path) -> ResolvedConfig:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return load_config(path, ("stages.grpo.max_steps=20",))


def test_the_plan_is_a_config_that_runs_and_a_table(
    resolved: ResolvedConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan(resolved, PLAN)
    shown = capsys.readouterr().out
    config, _, table = shown.partition("\n# the run's folder: runs/small\n")
    again = tmp_path / "again.yaml"
    again.write_text(config)
    assert load_config(again).config == resolved.config
    assert "max_steps: 20" in config and "# --set" in config and "# small.yaml:13" in config
    lines = [line.split() for line in table.splitlines()]
    assert lines[0] == ["step", "action", "why"]
    assert lines[1] == ["dataset", "main", "skip", "its", "manifest", "[is]", "there"]
    assert [line[0] for line in lines[2:]] == ["sft", "grpo"]


def test_the_plan_as_json(resolved: ResolvedConfig, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(resolved, PLAN, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert data["config"]["stages"][1]["max_steps"] == 20
    assert data["sources"]["stages.1.max_steps"] == "--set"
    assert data["plan"][1] == {
        "name": "sft",
        "action": "resume",
        "reason": "from step 40 of 100",
    }
    assert data["folder"] == "runs/small"
