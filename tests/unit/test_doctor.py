"""`clutch doctor` tells the truth about this machine, and fails where programs cannot run."""

import json
from dataclasses import replace

import pytest

from orchestrator.cli import run_command
from orchestrator.commands import doctor
from reward_fns.sandbox import layers


def test_it_tells_the_layers_and_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "seccomp    active" in text and "Programs run guarded: " in text
    assert run_command(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["guarded"] is True and told["missing"] is None
    assert told["runs_per_second"] > 10
    assert told["layers"]["seccomp"] is True


def test_a_missing_minimum_is_told_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = replace(layers(), seccomp=False)
    monkeypatch.setattr(doctor, "layers", lambda: lacking)
    assert run_command(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "seccomp    missing" in text
    assert "No program is run: programs cannot be run safely on this machine: the kernel" in text
    assert run_command(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["guarded"] is False and told["runs_per_second"] is None
