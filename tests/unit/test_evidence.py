"""SCP v1 evidence: what the schema asks for, and what it should have asked for."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from datagen.whole_file import seal_json
from orchestrator.evidence import (
    SCP_V1_SCHEMA,
    Evidence,
    FlatEvidence,
    evidence_data,
    parse_evidence,
    read_evidence,
    write_evidence,
)
from orchestrator.yaml_source import ConfigError

GOOD: dict[str, Any] = {
    "run_id": "r1",
    "model": "tiny",
    "started_at": "2026-11-01T10:00:00Z",
    "ended_at": "2026-11-01T11:05:00.250+01:00",
    "dataset": "sat",
    "metrics": {"loss": 0.5, "accuracy": 0.8, "reward": 0.7},
    "notes": "three steps",
    "more": {"kept": True},
}
FLAT: dict[str, Any] = {
    "synthiant_id": "zero_1",
    "run_id": "r1",
    "ts": "2026-11-01T10:00:00+00:00",
    "loss": 0.5,
    "epoch": 1,
    "step": 20,
    "duration_s": 1.5,
    "commit": "abcdef1",
    "device": "cpu",
    "source": "local",
}


def spoiled(base: dict[str, Any], path: str, value: Any) -> str:
    data = copy.deepcopy(base)
    *parents, last = path.split(".")
    holder = data
    for parent in parents:
        holder = holder[parent]
    if value is KeyError:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(data)


def test_good_evidence_is_kept_whole_and_meets_the_schema() -> None:
    evidence = parse_evidence(json.dumps(GOOD), "metrics.json")
    assert isinstance(evidence, Evidence)
    assert evidence_data(evidence) == GOOD
    validator = jsonschema.Draft202012Validator(SCP_V1_SCHEMA)
    validator.validate(evidence_data(evidence))


def test_the_older_flat_form_is_read() -> None:
    evidence = parse_evidence(json.dumps({**FLAT, "hyperparameters": {"lr": 1}}), "metrics.json")
    assert isinstance(evidence, FlatEvidence)
    assert evidence.step == 20


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("run_id", KeyError, 'missing key "run_id"'),
        ("metrics", KeyError, 'missing key "metrics"'),
        ("metrics.loss", KeyError, 'metrics: missing key "loss"'),
        ("metrics.accuracy", KeyError, 'metrics: missing key "accuracy"'),
        ("metrics.loss", float("nan"), "NaN is no number in JSON"),
        ("metrics.loss", float("inf"), "Infinity is no number in JSON"),
        ("metrics.loss", -0.1, "metrics.loss is -0.1: must be at least 0"),
        ("metrics.loss", 1000.5, "metrics.loss is 1000.5: must be at most 1000"),
        ("metrics.loss", "0.5", 'metrics.loss is "0.5": use a number'),
        ("metrics.loss", True, "metrics.loss is true: use a number"),
        ("metrics.accuracy", 1.01, "metrics.accuracy is 1.01: must be at most 1"),
        ("metrics.accuracy", -1, "metrics.accuracy is -1: must be at least 0"),
        ("model", 7, "model is 7: use text"),
        ("run_id", "", "run_id"),
        ("started_at", "yesterday", "started_at"),
        ("started_at", "2026-11-01", "started_at"),
        ("started_at", "2026-11-01T10:00:00", "started_at"),
        ("started_at", "2026-13-01T10:00:00Z", "2026-13-01T10:00:00Z is no date-time"),
        ("started_at", 1790000000, "started_at is 1790000000: use text"),
        ("ended_at", "2026-11-01T09:59:59Z", "is before started_at"),
        ("ended_at", "2026-11-01T10:30:00+01:00", "is before started_at"),
        ("notes", 3, "notes is 3: use text"),
    ],
)
def test_bad_evidence_names_the_field(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_evidence(spoiled(GOOD, path, value), "metrics.json")
    assert str(caught.value).startswith("metrics.json")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("synthiant_id", "x"),
        ("synthiant_id", "has blank"),
        ("commit", "XYZ1234"),
        ("source", "moon"),
        ("duration_s", -1),
        ("loss", -1),
        ("loss", 1001),
        ("ts", "now"),
        ("notes", "x" * 501),
        ("step", 1.5),
        ("run_id", KeyError),
    ],
)
def test_bad_flat_evidence_names_the_field(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=path):
        parse_evidence(spoiled(FLAT, path, value), "metrics.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "metrics.json:1:2 Expecting property name"),
        ('{"run_id": 1e999}', "use a finite number"),
        ('{"run_id": "a", "run_id": "b"}', 'key "run_id" stands there twice'),
        ("[]", "evidence is one JSON object, not a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_json_is_refused_in_one_line(text: str, message: str) -> None:
    if "1e999" in text:
        text = spoiled(GOOD, "metrics.loss", 77).replace("77", "1e999")
    with pytest.raises(ConfigError) as caught:
        parse_evidence(text, "metrics.json")
    assert message in str(caught.value)


def test_what_is_written_can_be_read_and_bad_data_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    with pytest.raises(ConfigError, match=r"metrics\.loss"):
        write_evidence(file, {**GOOD, "metrics": {"loss": -1, "accuracy": 1}})
    assert not list(tmp_path.iterdir())
    write_evidence(file, GOOD)
    evidence = read_evidence(file)
    assert evidence_data(evidence) == json.loads(seal_json(GOOD))
    assert list(tmp_path.iterdir()) == [file]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"b\.json: it is not UTF-8"):
        read_evidence(tmp_path / "b.json")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_evidence(tmp_path)
