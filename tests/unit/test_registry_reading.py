"""What is read of versions: verification, differences, the way back, and broken manifests."""

import json

import pytest

from datagen.manifest import MANIFEST
from datagen.registry.build import build_version
from datagen.registry.config import BuildConfig
from datagen.registry.diff import diff_versions
from datagen.registry.lineage import find_lineage
from datagen.registry.manifest import sealed
from datagen.registry.opening import open_named
from datagen.registry.verify import verify_version
from datagen.registry.versions import Registry
from datagen.trace_files import write_traces_folder
from datagen.ungar import make_traces
from tests.registry_sources import NOW, built, sat_dataset, traces_file


@pytest.fixture(scope="module")
def sat(tmp_path_factory):
    return sat_dataset(tmp_path_factory.mktemp("sources") / "sat", seed=3)


@pytest.fixture
def registry(tmp_path, sat):
    registry = Registry(tmp_path / "datasets")
    built(registry, "all", sat)
    return registry


def ungar_folder(folder, count=20, seed=7):
    config = {"count": count, "seed": seed}
    write_traces_folder(
        make_traces(count, seed), folder,
        generator="datagen.ungar", version="1", config=config, seed=seed, now=NOW,
    )  # fmt: skip
    return folder


FILES = ("origins.parquet", "problems/manifest.json", "problems/train-00000.parquet")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found_and_its_file_named(registry, name):
    path = registry.path("all-1") / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{name} does not match its manifest: its bytes have"):
        verify_version(registry, "all-1")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(registry, name):
    (registry.path("all-1") / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} is missing"):
        verify_version(registry, "all-1")


def test_changed_traces_are_found(registry, tmp_path):
    built(registry, "sums", traces_file(tmp_path / "t.jsonl"))
    path = registry.path("sums-1") / "traces.jsonl"
    path.write_bytes(path.read_bytes().replace(b"What is 3", b"What is 4"))
    with pytest.raises(ValueError, match=r"traces\.jsonl does not match its manifest"):
        verify_version(registry, "sums-1")
    with pytest.raises(ValueError, match=r"traces\.jsonl does not have sha256"):
        list(registry.rows("sums-1"))


def edited(registry, key, **fields):
    """Rewrite a manifest, with its own hash right."""
    manifest = registry.load(key).model_dump(mode="json", exclude={"manifest_hash"})
    (registry.path(key) / MANIFEST).write_text(sealed({**manifest, **fields}).model_dump_json())


def test_rows_that_a_manifest_does_not_tell_of_are_found(registry):
    edited(registry, "all-1", rows={"train": "0" * 64})
    with pytest.raises(ValueError, match="the rows of split 'train' do not match"):
        verify_version(registry, "all-1")


def test_a_wrong_content_hash_is_found(registry):
    edited(registry, "all-1", content_hash="0" * 64)
    with pytest.raises(ValueError, match="do not match the content_hash"):
        verify_version(registry, "all-1")


def test_a_file_outside_of_the_version_is_refused(registry):
    files = registry.load("all-1").model_dump()["files"]
    edited(registry, "all-1", files={**files, "../../x": files["origins.parquet"]})
    with pytest.raises(ValueError, match="files lie in the version's folder"):
        verify_version(registry, "all-1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", r"manifest\.json is not a manifest of the registry: JSON"),
        (lambda text: text[: len(text) // 2], "is not a manifest of the registry: JSON"),
        (lambda text: "[]", "is not a manifest of the registry"),
        (lambda text: text.replace("trace_count", "count"), "trace_count: Field required"),
        (lambda text: text.replace("registry-v1", "registry-v9"), "'clutch-registry-v9'"),
        (lambda text: text.replace('"limit": null', '"limit": 5'), "has been changed"),
        (lambda text: "\udc80", "is not a manifest of the registry"),
    ],
)
def test_a_broken_manifest_is_told(registry, change, message):
    path = registry.path("all-1") / MANIFEST
    path.write_text(change(path.read_text()), errors="surrogateescape")
    with pytest.raises(ValueError, match=message):
        registry.load("all-1")


def test_a_version_under_another_name_is_refused(registry):
    registry.path("all-1").rename(registry.path("all-2"))
    with pytest.raises(ValueError, match="all-2 holds dataset 'all-1'"):
        registry.load("all-2")


@pytest.mark.parametrize("key", ["all-2", "", "..", "all-1/problems", "."])
def test_a_key_that_is_not_there_is_told_with_the_nearest(registry, key):
    with pytest.raises(ValueError, match=r"no dataset .*(did you mean 'all-1'|it holds all-1)"):
        registry.load(key)


def test_an_empty_registry_says_so(tmp_path):
    with pytest.raises(ValueError, match="it holds none"):
        Registry(tmp_path / "nowhere").load("x")


def test_a_split_is_chosen_where_there_are_several(registry):
    with pytest.raises(ValueError, match="has splits train, test: choose one"):
        registry.rows("all-1")
    with pytest.raises(ValueError, match="has no split 'dev': it has train, test"):
        registry.rows("all-1", "dev")


def test_versions_are_compared_row_by_row(registry, sat, tmp_path):
    built(registry, "train", sat, filters={"split": "train"})
    found = diff_versions(registry, "all-1", "train-1")
    assert found.num_rows == {"same": 60, "changed": 0, "only_first": 20, "only_second": 0}
    assert len(found.examples["only_first"]) == 10
    assert all(row_id.startswith("sat:test:") for row_id in found.examples["only_first"])
    assert found.fields == {"filters": ({}, {"split": "train"})}
    assert not found.is_same_content
    assert diff_versions(registry, "all-1", "all-1").is_same_content


def test_rows_of_one_id_and_other_content_are_changed(registry, tmp_path):
    other = sat_dataset(tmp_path / "other", seed=3, sizes=(6,))
    built(registry, "other", other)
    found = diff_versions(registry, "all-1", "other-1")
    assert found.num_rows["changed"] > 60
    assert found.num_rows["same"] == 0


def test_a_row_leads_back_to_what_made_it(registry, sat):
    manifest = json.loads((sat / MANIFEST).read_text())
    built(registry, "part", "all-1", filters={"split": "test", "index": "7"})
    one, two = find_lineage(registry, "sat:test:3:7")
    assert (one.dataset_key, two.dataset_key) == ("all-1", "part-1")
    for found in (one, two):
        assert (found.split, found.index, found.position) == ("test", 7, 67)
        assert found.source.generator == "datagen.sat"
        assert found.source.seed == 3
        assert found.source.config_hash == manifest["config_hash"]
        assert found.source.sha256 == manifest["dataset_hash"]
    assert [via.dataset_key for via in two.source.via] == ["all-1"]
    assert find_lineage(registry, "sat:test:3:7", ["part-1"]) == [two]


def test_a_trace_leads_back_to_its_seed(registry, tmp_path):
    folder = ungar_folder(tmp_path / "duels")
    config_hash = json.loads((folder / MANIFEST).read_text())["config_hash"]
    made = built(registry, "duels", folder, filters={"meta.result": "loss"}).manifest
    row_id = made.trace_ids[-1]
    (found,) = find_lineage(registry, row_id)
    assert (found.source.generator, found.source.seed) == ("datagen.ungar", 7)
    assert found.source.config_hash == config_hash
    assert f"high_card_duel:7:{found.index}" == row_id
    assert found.meta["episode_index"] == found.index
    assert list(make_traces(20, 7))[found.index].meta == found.meta


def test_a_row_that_is_not_there_is_told(registry):
    with pytest.raises(ValueError, match="there is no row 'sat:test:3:999' in any dataset"):
        find_lineage(registry, "sat:test:3:999")
    with pytest.raises(ValueError, match="there is no row 'x' in all-1"):
        find_lineage(registry, "x", ["all-1"])


def test_a_key_that_is_a_path_too_is_not_guessed(registry, tmp_path, monkeypatch, sat):
    monkeypatch.chdir(tmp_path)
    sat_dataset(tmp_path / "all-1")
    with pytest.raises(ValueError, match=r"write .*datasets/all-1 or \./all-1"):
        open_named("all-1", registry)
    assert open_named("./all-1", registry).version is None
    assert open_named(str(registry.path("all-1")), registry).version is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no source '.*nowhere'"),
        ("empty", r"the folder holds no manifest\.json"),
        ("text.txt", r"a file of traces ends with \.jsonl"),
        ("broken", "is not a dataset manifest"),
        ("strange", "has format 'other'"),
    ],
)
def test_what_is_no_source_is_refused(registry, tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    for folder, text in (("broken", "{"), ("strange", '{"format": "other"}')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=message):
        open_named(str(tmp_path / name), registry)


def test_a_source_that_changes_while_it_is_read_is_refused(registry, tmp_path):
    path = traces_file(tmp_path / "t.jsonl")
    source = open_named(str(path), registry)
    path.write_bytes(path.read_bytes().replace(b"What is 3", b"What is 4"))
    with pytest.raises(ValueError, match="its bytes have changed"):
        build_version(registry, BuildConfig(name="t", version="1"), [source], NOW)
    assert registry.all_keys() == ["all-1"]


def test_a_damaged_source_is_refused(registry, tmp_path):
    other = sat_dataset(tmp_path / "other", seed=9)
    path = other / "train-00000.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train-00000\.parquet does not match its manifest"):
        built(registry, "other", other)
    assert registry.all_keys() == ["all-1"]
