"""The generated parts of the documents say what the code says."""

import re
from pathlib import Path

import pytest

from docs.generate import ROOT, pages
from orchestrator.cli import run_command
from orchestrator.config import load_config

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(pages()), ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "run `make docs`"


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    tables = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(tables) > 80
    assert not [line for line in tables if line.endswith("|  |")]


THIS_MACHINE = ("--set=resources.gpus_per_worker=0", "--set=resources.cpus_per_worker=1")
"""A plan for more than the machine has is refused."""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_is_valid_and_can_be_planned(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, hub_there: str
) -> None:
    assert load_config(config).config.stages
    sets = [f"--set=storage={tmp_path}", *THIS_MACHINE]
    assert run_command(["run", str(config), "--dry-run", *sets]) == 0
    assert "train " in capsys.readouterr().out


def test_links_and_commands_in_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    for config in re.findall(r"configs/\w+\.yaml", text):
        assert (ROOT / config).is_file(), config
    first_screen = "\n".join(text.splitlines()[:30])
    assert "make run" in first_screen and "make test" in first_screen


def test_the_config_in_the_readme_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(block)
    assert load_config(path).config.name == "mine"
