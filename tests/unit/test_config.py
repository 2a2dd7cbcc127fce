"""A run's config: what is read, where each value comes from, and overrides."""

from pathlib import Path

import pytest

from orchestrator.config import ResolvedConfig, config_data, config_hash, load_config, run_folder
from orchestrator.yaml_source import ConfigError, parse_yaml
from tests.small_run import CONFIG
from trainers.config import GrpoConfig, SftConfig


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path


def load(path: Path, *overrides: str) -> ResolvedConfig:
    return load_config(path, overrides)


def test_reads_models_with_defaults(config_file: Path) -> None:
    config = load(config_file).config
    assert isinstance(config.stages[0], SftConfig)
    assert isinstance(config.stages[1], GrpoConfig)
    assert config.stages[0].learning_rate == 1e-3
    assert config.tracking.type == "mlflow"
    assert run_folder(config) == Path("runs/small")


def test_override_by_stage_name_and_by_index(config_file: Path) -> None:
    config = load(config_file, "stages.grpo.max_steps=20", "stages.0.max_steps=3").config
    assert [stage.max_steps for stage in config.stages] == [3, 20]


def test_a_stage_is_found_by_its_name_before_its_type(config_file: Path) -> None:
    named = ("stages.1.name=second", "stages.second.max_steps=7", "stages.sft.name=grpo")
    config = load(config_file, *named, "stages.grpo.max_steps=5").config
    assert [stage.max_steps for stage in config.stages] == [5, 7]


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("resources.num_workers=2", 2),
        ("seed=7", 7),
        ("model={type: hf, path: /models/x}", "hf"),
        ("tracking.type=none", "none"),
        ("tracking.experiment=mine", None),
        ("model={max_position_embeddings: 400}", None),
        ("stages.sft.learning_rate=5e-4", 5e-4),
        ("stages.sft.bf16=true", True),
        ("evaluation.limit=null", None),
        ("name=a=b", "refused"),
    ],
)
def test_override_values_are_yaml(config_file: Path, override: str, value: object) -> None:
    if value == "refused":
        with pytest.raises(ConfigError, match=r'name is "a=b"'):
            load(config_file, override)
        return
    config = load(config_file, override).config
    seen = [config.resources.num_workers, config.seed, config.model.type, config.tracking.type]
    assert value in [*seen, config.stages[0].learning_rate, config.stages[0].bf16, None]
    assert config != load(config_file).config or value is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: write it as --set key.subkey=value"),
        ("a..b=1", "--set a..b=1: write it as --set key.subkey=value"),
        ("=1", "--set =1: write it as --set key.subkey=value"),
        ("stages.dpo.x=1", "--set stages.dpo.x=1: stages has no entry dpo; it has sft, grpo"),
        ("stages.2.x=1", "--set stages.2.x=1: stages has no entry 2; it has sft, grpo"),
        ("name.x=1", "--set name.x=1: name is 'small', which has no keys"),
        ("seed=[1", "--set seed=[1: expected ',' or ']', but got '<stream end>'"),
        ("sead=1", '--set sead=1: unknown key "sead", did you mean "seed"?'),
        ("resorces.num_workers=1", "unknown key"),
    ],
)
def test_override_mistakes_name_the_override(
    config_file: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config_file, override)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"--set {override}")


def test_an_ambiguous_type_asks_for_an_index(config_file: Path) -> None:
    twice = (
        "stages.1.type=sft",
        "stages.1.name=two",
        "stages.0.name=one",
        "stages.sft.max_steps=1",
    )
    with pytest.raises(ConfigError, match="2 entries of stages are sft: use an index"):
        load(config_file, *twice)


def test_every_value_knows_its_source(config_file: Path) -> None:
    resolved = load(config_file, "stages.grpo.max_steps=20", "seed=3")
    sources = resolved.sources()
    assert sources[("name",)] == "small.yaml:1"
    assert sources[("model", "hidden_size")] == "small.yaml:2"
    assert sources[("model", "head_dim")] == "default"
    assert sources[("stages", 0, "learning_rate")] == "small.yaml:13"
    assert sources[("stages", 1, "max_steps")] == "--set"
    assert sources[("seed",)] == "--set"
    assert sources[("storage",)] == "default"
    assert sources[("datasets", "main", "sizes", 0, "m")] == "small.yaml:7"
    assert sources[("datasets", "main", "sizes", 0, "k")] == "default"
    assert sources[("datasets", "main", "splits", "train")] == "small.yaml:8"


def test_annotated_yaml_reads_back_as_the_same_config(config_file: Path, tmp_path: Path) -> None:
    resolved = load(config_file, "seed=3")
    again = tmp_path / "config.yaml"
    again.write_text(resolved.annotated())
    assert "# --set" in resolved.annotated()
    assert load(again).config == resolved.config
    assert config_hash(load(again).config) == config_hash(resolved.config)


def test_hash_changes_with_any_value_and_is_of_canonical_json(config_file: Path) -> None:
    first = load(config_file).config
    assert config_hash(first) == config_hash(load(config_file).config)
    assert config_hash(first) != config_hash(load(config_file, "seed=1").config)
    assert config_data(first)["datasets"]["main"]["sizes"][0]["n"] == 4
    assert len(config_hash(first)) == 64


def test_anchors_and_merges_are_read() -> None:
    document = parse_yaml("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\n", "m.yaml")
    assert document.data == {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}, "c": {"p": 1, "q": 2}}
    assert str(document.place(("b", "q"))) == "m.yaml:2:16"
    assert document.place(("b", "p")).line == 2
