"""`clutch dataset` and `clutch datagen ungar` as a user runs them."""

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.cli import run_command
from tests.registry_sources import sat_dataset


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    sat_dataset(folder / "sat")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, sources):
    """A working folder with the sources in it."""
    shutil.copytree(sources, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ran(capsys):
    def run(*arguments, code=0):
        assert run_command([*map(str, arguments)]) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def registry(ran):
    """Two datasets, one of problems and one of traces."""
    ran("dataset", "build", "sat", "--version", "1", "--from", "sat")
    ran("datagen", "ungar", "--count", 30, "--seed", 7, "--out", "duels")
    ran(
        "dataset", "build", "duels", "--version", "0.1", "--from", "duels",
        "--filter", "meta.result=win", "--provenance", "by=me",
    )  # fmt: skip


def test_build_tells_what_it_made_and_what_it_left_out(ran):
    arguments = ("dataset", "build", "sat", "--version", "1", "--from", "sat")
    more = ("--filter", "split=train", "--strategy", "random", "--seed", 1, "--limit", 10)
    said = ran(*arguments, *more).out
    assert said.startswith("datasets/sat-1: 10 problems; sha256 ")
    assert "not used: 50 beyond the limit, 20 filtered" in said
    again = ran(*arguments, *more).out
    assert "there already with the same rows" in again
    assert ran(*arguments, code=2).err.splitlines()[-1] == (
        "clutch: dataset 'sat-1' exists with other rows (10, these are 80): versions do not "
        "change, choose another --version"
    )


def test_build_prints_its_manifest_as_json(ran):
    said = ran("dataset", "build", "s", "--version", "1", "--from", "sat", "--json").out
    assert json.loads(said) == json.loads(Path("datasets/s-1/manifest.json").read_text())


def test_list_shows_every_dataset_and_what_is_broken(ran, registry, here):
    first, second = ran("dataset", "list").out.splitlines()
    assert first.split()[:3] == ["duels-0.1", str(num_wins()), "traces"]
    assert second.split()[:3] == ["sat-1", "80", "problems"]
    (here / "datasets/sat-1/manifest.json").write_text("{}")
    entries = json.loads(ran("dataset", "list", "--json").out)
    assert [entry["dataset_key"] for entry in entries] == ["duels-0.1", "sat-1"]
    assert "error" in entries[1] and "error" not in entries[0]
    assert "sat-1      broken: " in ran("dataset", "list").out


def test_an_empty_registry_is_listed_as_such(ran):
    assert json.loads(ran("dataset", "list", "--json").out) == []
    assert "no dataset in datasets" in ran("dataset", "list").out


def num_wins():
    lines = Path("duels/traces.jsonl").read_text().splitlines()
    return sum(json.loads(line)["meta"]["result"] == "win" for line in lines)


def test_show_says_what_a_dataset_was_built_of(ran, registry):
    said = ran("dataset", "show", "duels-0.1").out
    assert f"duels-0.1: {num_wins()} traces; sha256 " in said
    assert "filters: meta.result=win; all rows; not used: " in said
    assert "provenance by: me" in said
    assert "generator datagen.ungar 1, seed 7" in said
    assert json.loads(ran("dataset", "show", "sat-1", "--json").out)["dataset_key"] == "sat-1"


def test_verify_checks_all_and_names_what_has_changed(ran, registry, here):
    said = ran("dataset", "verify").out
    assert [line.split(":")[0] for line in said.splitlines()] == ["duels-0.1", "sat-1"]
    path = here / "datasets/duels-0.1/traces.jsonl"
    path.write_bytes(path.read_bytes().replace(b"reveal", b"conceal"))
    said = ran("dataset", "verify", code=2)
    assert said.out.startswith("sat-1: verified 80 rows")
    assert "datasets/duels-0.1/traces.jsonl does not match its manifest" in said.err
    assert said.err.endswith("1 of 2 datasets failed\n")
    entries = json.loads(ran("dataset", "verify", "--json", code=2).out)
    assert [entry["verified"] for entry in entries] == [False, True]
    ran("dataset", "verify", "sat-1")


@pytest.mark.parametrize("name", ["trace", "tunix_sft", "training_example", "jsonl"])
def test_traces_are_exported_in_every_format_for_them(ran, registry, here, name):
    said = ran("dataset", "export", "duels-0.1", "--format", name, "--out", "out.jsonl").out
    assert said.startswith(f"out.jsonl: {num_wins()} rows, ")
    assert len((here / "out.jsonl").read_text().splitlines()) == num_wins()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("trl", "sat-1-train.parquet"),
        ("verl", "sat-1-train.parquet"),
        ("jsonl", "sat-1-train.jsonl"),
    ],
)
def test_exports_are_named_and_the_same_each_time(ran, registry, here, name, file):
    arguments = ("dataset", "export", "sat-1", "--format", name, "--split", "train", "--json")
    told = [json.loads(ran(*arguments).out) for _ in range(2)]
    assert told[0] == told[1]
    assert told[0]["path"] == file
    assert told[0]["num_rows"] == 60
    assert (here / file).stat().st_size == told[0]["num_bytes"]


def test_diff_and_lineage_are_told_in_lines_and_as_json(ran, registry):
    ran("dataset", "build", "sat", "--version", "2", "--from", "sat-1", "--filter", "split=test")
    said = ran("dataset", "diff", "sat-1", "sat-2").out
    assert "20 rows are the same, 0 changed, 60 only in sat-1, 0 only in sat-2" in said
    assert "filters: {} and {'split': 'test'}" in said
    assert json.loads(ran("dataset", "diff", "sat-1", "sat-1", "--json").out)["is_same_content"]
    said = ran("dataset", "lineage", "sat:test:0:3").out
    assert "sat:test:0:3 in sat-1 " in said and "sat:test:0:3 in sat-2 " in said
    assert "split test, index 3" in said and "through sat-1 " in said
    assert "generator datagen.sat 1, seed 0, config " in said
    (found,) = json.loads(ran("dataset", "lineage", "sat:test:0:3", "--key", "sat-2", "--json").out)
    assert found["source"]["via"][0]["dataset_key"] == "sat-1"


def test_ungar_writes_a_file_or_a_folder_of_the_same_bytes(ran, here):
    ran("datagen", "ungar", "--count", 4, "--out", "one.jsonl")
    told = json.loads(ran("datagen", "ungar", "--count", 4, "--out", "two", "--json").out)
    assert (here / "one.jsonl").read_bytes() == (here / "two/traces.jsonl").read_bytes()
    assert told["num_rows"] == 4
    ran("dataset", "build", "file", "--version", "1", "--from", "one.jsonl")
    said = ran("dataset", "lineage", "high_card_duel:0:2").out
    assert "without a manifest" in said and "episode_index 2" in said and "seed 0" in said


BUILD = ("build", "x", "--version", "1", "--from", "sat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "x", "--version", "1"), "--from is missing"),
        (("build", "x", "--version", "1", "--from", "nope"), "no source 'nope'"),
        ((*BUILD, "--filter", "foo"), "is no KEY=VALUE"),
        ((*BUILD, "--filter", "foo=1"), "'foo' is unkno"),
        ((*BUILD, "--limit", "0"), "--limit: limit is 0"),
        ((*BUILD, "--seed", "1"), "--seed: seed does nothing"),
        (
            (*BUILD, "--strategy", "random", "--limit", "1"),
            "seed is missing",
        ),
        (("build", ".x", "--version", "1", "--from", "sat"), "--name: name is '.x'"),
        ((*BUILD, "--provenance", "p"), "--provenance 'p'"),
        (("build", "x", "--version", "1", "--from", "s3:///k"), "names no bucket"),
        (("list", "--registry", "s3://bucket/there"), "a registry is a folder of this machine"),
        (("list", "--registry", "duels/manifest.json"), "is a file: name a folder"),
        (("show", "sat-2"), "no dataset 'sat-2' in datasets: did you mean 'sat-1'?"),
        (("verify", "--registry", "nowhere"), "there is nothing to verify"),
        (("export", "sat-1", "--format", "nope"), "use one of trace, tunix_sft, training_example"),
        (("export", "sat-1", "--format", "jsonl"), "has splits train, test: choose one (--split)"),
        (("export", "sat-1", "--format", "jsonl", "--split", "dev"), "has no split 'dev'"),
        (("export", "duels-0.1", "--format", "trl"), "is a trace: choose"),
        (
            ("export", "sat-1", "--format", "gradients", "--split", "train"),
            "needs at least 2,000 rows",
        ),
        (
            ("export", "duels-0.1", "--format", "jsonl", "--out", "datasets/duels-0.1/x.jsonl"),
            "in the dataset's own folder",
        ),
        (("diff", "sat-1", "sat-9"), "no dataset 'sat-9'"),
        (("lineage", "sat:train:0:99999"), "there is no row 'sat:train:0:99999'"),
    ],
)
def test_mistakes_are_told_in_one_line(ran, registry, here, arguments, message):
    before = sorted(path for path in here.rglob("*"))
    said = ran("dataset", *arguments, code=2)
    lines = [line for line in said.err.splitlines() if not line.startswith("task=")]
    assert message in lines[0]
    assert len(lines) == 1
    assert sorted(path for path in here.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--count", 0, "--out", "x"), "count is 0"),
        (("--count", 1, "--seed", -1, "--out", "x"), "seed is -1"),
        (("--count", 9, "--seed", 7, "--out", "duels"), "holds other traces"),
        (("--count", 9, "--out", "sat"), "is not a manifest of traces"),
    ],
)
def test_mistakes_of_ungar_are_told(ran, registry, arguments, message):
    assert message in ran("datagen", "ungar", *arguments, code=2).err
