"""Versions of datasets: whole, not to be changed, and the same wherever they are built."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from datagen.dataset import read_split
from datagen.formats.export import export_rows
from datagen.manifest import dataset_hash, file_sha256, load_manifest, write_record
from datagen.registry.build import build_version
from datagen.registry.config import BuildConfig
from datagen.registry.keys import dataset_key
from datagen.registry.opening import open_named
from datagen.registry.verify import verify_version
from datagen.registry.versions import Registry
from tests.registry_sources import NOW, built, sat_dataset, traces_file
from trainers.data import load_split

TUNIX_FIELDS = {
    "dataset_key", "build_id", "dataset_name", "dataset_version", "dataset_schema_version",
    "created_at", "filters", "selection_strategy", "seed", "trace_ids", "trace_count", "stats",
    "session_id", "parent_dataset_id", "training_run_id", "provenance",
}  # fmt: skip
TUNIX_STATS = {
    "trace_count", "avg_step_count", "min_step_count", "max_step_count", "avg_total_chars",
}  # fmt: skip


@pytest.fixture(scope="module")
def sat(tmp_path_factory):
    return sat_dataset(tmp_path_factory.mktemp("sources") / "sat")


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "datasets")


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_version_holds_the_rows_of_its_sources_unchanged(sat, registry):
    made = built(registry, "all", sat).manifest
    for split in ("train", "test"):
        assert list(registry.rows("all-1", split)) == list(read_split(sat, split))
    assert made.trace_count == 80
    assert verify_version(registry, "all-1") == made


def test_its_manifest_carries_tunix_fields_and_stats(sat, registry, tmp_path):
    traces = traces_file(tmp_path / "sums.jsonl")
    built(
        registry, "my sums/small", traces, session_id="s", training_run_id="r",
        parent_dataset_id="p", provenance={"by": "me"}, filters={"meta.topic": "addition"},
    )  # fmt: skip
    said = json.loads((registry.folder / "my_sums_small-1" / "manifest.json").read_text())
    assert set(said) >= TUNIX_FIELDS
    assert set(said["stats"]) == TUNIX_STATS
    assert said["dataset_name"] == "my sums/small"
    assert said["dataset_schema_version"] == "1.0"
    assert said["trace_count"] == len(said["trace_ids"]) == said["stats"]["trace_count"] == 12
    assert said["stats"]["avg_step_count"] == 2
    chars = [
        len(row.prompt) + len(row.final_answer) + sum(len(step.content) for step in row.steps)
        for row in registry.rows("my_sums_small-1")
    ]
    assert said["stats"]["avg_total_chars"] == sum(chars) / 12
    noted = ("session_id", "training_run_id", "parent_dataset_id", "provenance")
    assert [said[name] for name in noted] == ["s", "r", "p", {"by": "me"}]


def test_problems_of_a_version_are_a_dataset_that_training_reads(sat, registry):
    built(registry, "all", sat)
    rows = load_split(registry.path("all-1") / "problems", "test")
    assert rows == list(read_split(sat, "test"))


def test_two_builds_give_the_same_bytes(sat, registry, tmp_path):
    other = Registry(tmp_path / "elsewhere")
    for there in (registry, other):
        built(there, "some", sat, limit=30, strategy="random", seed=4)
    assert tree(registry.folder) == tree(other.folder)


def test_the_rows_hash_is_that_of_their_export(sat, registry, tmp_path):
    made = built(registry, "all", sat).manifest
    for split, sha256 in made.rows.items():
        path = tmp_path / f"{split}.jsonl"
        assert export_rows("jsonl", registry.rows("all-1", split), path).sha256 == sha256


def test_the_same_rows_again_change_nothing(sat, registry):
    first = built(registry, "train", sat, filters={"split": "train"})
    before = tree(registry.folder)
    again = built(registry, "train", sat, filters={"split": "train", "task": "sat"})
    assert first.is_new and not again.is_new
    assert again.manifest == first.manifest
    assert again.differing == ("filters",)
    assert tree(registry.folder) == before


def test_other_rows_under_the_same_key_are_refused(sat, registry):
    built(registry, "train", sat, filters={"split": "train"})
    before = tree(registry.folder)
    with pytest.raises(ValueError, match=r"'train-1' exists with other rows \(60, these are 20\)"):
        built(registry, "train", sat, filters={"split": "test"})
    assert tree(registry.folder) == before


def test_another_name_with_the_same_key_is_refused(sat, registry):
    built(registry, "a b", sat)
    with pytest.raises(ValueError, match="key 'a_b-1' is that of name 'a b' and version '1'"):
        built(registry, "a_b", sat)


def test_the_same_rows_are_refused_where_the_version_has_been_damaged(sat, registry):
    built(registry, "all", sat)
    (registry.path("all-1") / "origins.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"origins\.parquet does not match its manifest"):
        built(registry, "all", sat)


def test_a_folder_in_the_way_is_left_alone(sat, registry):
    registry.path("all-1").mkdir(parents=True)
    with pytest.raises(ValueError, match="exists and is no dataset"):
        built(registry, "all", sat)


class Stop(Exception):
    """Ends a build from within."""


def test_a_build_that_fails_leaves_nothing(sat, registry):
    def fail(read, taken):
        if taken:
            raise Stop

    config = BuildConfig(name="all", version="1")
    with pytest.raises(Stop):
        build_version(registry, config, [open_named(str(sat), registry)], NOW, fail)
    assert list(registry.folder.iterdir()) == []
    assert registry.all_keys() == []


@pytest.mark.parametrize("same", [True, False])
def test_a_build_that_another_was_faster_than_compares(sat, registry, tmp_path, same):
    faster = Registry(tmp_path / "faster")
    built(faster, "all", sat, filters={} if same else {"split": "test"})

    def interfere(read, taken):
        if not registry.has("all-1"):
            shutil.copytree(faster.path("all-1"), registry.path("all-1"))

    config, sources = BuildConfig(name="all", version="1"), [open_named(str(sat), registry)]
    if same:
        assert not build_version(registry, config, sources, NOW, interfere).is_new
    else:
        with pytest.raises(ValueError, match="exists with other rows"):
            build_version(registry, config, sources, NOW, interfere)
    assert registry.all_keys() == ["all-1"]


def test_a_version_of_a_version_keeps_what_made_the_rows(sat, registry):
    built(registry, "all", sat)
    made = built(registry, "part", "all-1", filters={"split": "test"}).manifest
    assert made.parent_dataset_id == "all-1"
    (source,) = made.sources
    assert (source.generator, source.seed, source.uri) == ("datagen.sat", 0, str(sat))
    assert [via.dataset_key for via in source.via] == ["all-1"]
    assert list(registry.rows("part-1")) == list(read_split(sat, "test"))


def test_a_row_that_is_twice_is_taken_once(sat, registry):
    built(registry, "part", sat, filters={"split": "test"})
    made = built(registry, "both", sat, "part-1").manifest
    assert made.trace_count == 80
    assert made.dropped == {"duplicate": 20}


def test_rows_of_one_id_and_two_contents_are_refused(sat, registry, tmp_path):
    other = sat_dataset(tmp_path / "other", sizes=(6,))
    with pytest.raises(ValueError, match=r"row 'sat:train:0:0' is in .*sat and, with other"):
        built(registry, "both", sat, other)
    assert built(registry, "some", sat, other, filters={"difficulty.n": "6"}).is_new


def test_problems_and_traces_are_not_mixed(sat, registry, tmp_path):
    traces = traces_file(tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match=r"holds problems and .*t\.jsonl traces"):
        built(registry, "both", sat, traces)


def test_a_split_that_names_no_file_is_refused(sat, registry, tmp_path):
    folder = shutil.copytree(sat, tmp_path / "hostile")
    swap_splits(folder)
    with pytest.raises(ValueError, match=r"is in split '\.\./up': that names no file"):
        built(registry, "all", folder)


def swap_splits(folder):
    """Let the rows of a dataset say that they are in a split outside of its folder."""
    manifest = load_manifest(folder)
    splits = {}
    for name, split in manifest.splits.items():
        (shard,) = split.shards
        table = pq.read_table(folder / shard.file)
        column = pa.array(["../up"] * len(table))
        table = table.set_column(table.schema.get_field_index("split"), "split", column)
        pq.write_table(table, folder / shard.file)
        size, sha256 = (folder / shard.file).stat().st_size, file_sha256(folder / shard.file)
        changed = shard.model_copy(update={"num_bytes": size, "sha256": sha256})
        splits[name] = split.model_copy(update={"shards": (changed,)})
    update = {"splits": splits, "dataset_hash": dataset_hash(manifest.config_hash, splits)}
    write_record(folder / "manifest.json", manifest.model_copy(update=update))


@pytest.mark.parametrize(
    ("name", "version", "key"),
    [("sat", "1", "sat-1"), ("my set", "2026/11", "my_set-2026_11"), ("ä", "v 1", "ä-v_1")],
)
def test_the_key_is_made_by_upstreams_rule(name, version, key):
    assert dataset_key(name, version) == key


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name has 0 characters"),
        ({"name": "n" * 129}, "name has 129 characters"),
        ({"version": "v" * 65}, "version has 65 characters"),
        ({"name": "../x"}, "begin it with another character"),
        ({"name": "-x"}, "begin it with another character"),
        ({"name": "a\nb"}, "use printable characters"),
        ({"name": "ä" * 128}, "over 193 bytes"),
        ({"strategy": "random"}, "seed is missing"),
        ({"strategy": "random", "seed": 1}, "limit is missing"),
        ({"seed": 1}, "seed does nothing with strategy latest"),
        ({"limit": 0}, "limit"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        BuildConfig(**{"name": "n", "version": "1", **fields})
