"""A run's config: what is read, where each value comes from, and overrides."""

import re
from pathlib import Path

import pytest

from orchestrator.config import ResolvedConfig, config_data, config_hash, load_config, run_folder
from orchestrator.prompt_checks import model_mistakes
from orchestrator.yaml_source import ConfigError, parse_yaml
from tests.small_models import save_small_model
from tests.small_run import CONFIG
from trainers.config import GrpoConfig, HfModelConfig, SftConfig


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


@pytest.mark.parametrize(
    "change",
    [
        "storage=/elsewhere",
        "tracking.type=none",
        "resources={start_timeout_s: 9, max_failures: 0}",
        "stages.grpo.logging_steps=3",
        "stages.sft.save_steps=3",
        "sandbox.num_servers=3",
    ],
)
def test_the_hash_leaves_out_what_no_result_depends_on(config_file: Path, change: str) -> None:
    assert config_hash(load(config_file, change).config) == config_hash(load(config_file).config)


@pytest.mark.parametrize(
    "change",
    [
        "resources.num_workers=2",
        "sandbox.wall_s=9",
        "stages.sft.bf16=true",
        "evaluation.limit=3",
    ],
)
def test_the_hash_changes_with_any_other_value(config_file: Path, change: str) -> None:
    assert config_hash(load(config_file, change).config) != config_hash(load(config_file).config)


def test_the_hash_is_of_canonical_json(config_file: Path) -> None:
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


MIX = """{type: mix, splits: {train: 9, test: 9}, sat: {style: compact, sizes: [{n: 4, m: 9}]},
 abd: {style: STYLE, programs: {type: procedural, levels: [{level: micro}]}}}"""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["datasets.main.sizes=[{n: 4, m: 12}, {n: 12, m: 12}]"],
            "n 12 needs words for 12 variables, model.max_variables is 8: raise it to 12",
        ),
        (
            ["datasets.main.style=affine"],
            "style affine is not written in the words of a tiny model: set it to compact, or use a "
            "model of type hf",
        ),
        (
            ["datasets.main.sizes=[{n: 4, m: 100000}]"],
            "100000 clauses of 3 literals make a prompt of 400001 tokens, and evaluation leaves 64 "
            "of model.max_position_embeddings 320: lower m, or raise that",
        ),
        (["datasets.main.sizes=[{n: 4, m: 15}]"], None),
        (["datasets.main.sizes=[{n: 4, m: 16}]"], "tokens, and evaluation leaves 64"),
        # A split's own sizes, and only of splits that something reads.
        (["datasets.main.splits.other={num_problems: 9, sizes: [{n: 9, m: 99}]}"], None),
        (["datasets.main.splits.test.sizes=[{n: 9, m: 12}]"], "n 9 needs words"),
        (
            [
                "datasets.main.splits.validation={num_problems: 9, sizes: [{n: 9, m: 12}]}",
                "stages.grpo.eval_steps=5",
            ],
            "n 9 needs words",
        ),
        # What the stage does with long prompts.
        (["stages.sft.max_prompt_length=48"], "49 tokens, and stages.0 leaves 48"),
        (["stages.sft.max_prompt_length=48", "stages.sft.long_prompts=truncate"], None),
        (
            ["stages.sft.max_prompt_length=48", "stages.sft.long_prompts=drop"],
            "49 tokens, and stages.0 leaves 48",
        ),
        (
            [
                "stages.sft.max_prompt_length=48",
                "stages.sft.long_prompts=drop",
                "datasets.main.sizes=[{n: 4, m: 4}, {n: 4, m: 12}]",
            ],
            None,
        ),
        (
            ["datasets.main=" + MIX.replace("STYLE", "compact")],
            "datasets.main.abd asks about programs, and model.programs is false: set it to true",
        ),
        (
            ["datasets.main=" + MIX.replace("STYLE", "affine"), "model.programs=true"],
            "style affine is not written in the words of a tiny model",
        ),
        (["datasets.main=" + MIX.replace("STYLE", "compact"), "model.programs=true"], None),
    ],
)
def test_prompts_that_a_tiny_model_cannot_read_are_refused(
    config_file: Path, overrides: list[str], message: str | None
) -> None:
    if message is None:
        load(config_file, *overrides)
        return
    with pytest.raises(ConfigError) as caught:
        load(config_file, *overrides)
    said = str(caught.value)
    assert message in said
    assert said.startswith("--set datasets.main") or re.match(r"\S+/small\.yaml:\d+:\d+ ", said)


def test_prompts_that_do_not_fit_a_model_folder_are_told(tmp_path: Path, config_file: Path) -> None:
    save_small_model("qwen3", tmp_path / "model", max_position_embeddings=256)

    def told(*overrides: str) -> list[str]:
        config = load(
            config_file,
            f"model={{type: hf, path: {tmp_path / 'model'}}}",
            "datasets.main.style=affine",
            *(f"stages.{stage}.max_completion_length=8" for stage in ("sft", "grpo")),
            *("evaluation.max_completion_length=8", *overrides),
        ).config
        assert isinstance(config.model, HfModelConfig)
        return list(model_mistakes(config.model, config.datasets, config.stages, config.evaluation))

    (line,) = told("datasets.main.sizes=[{n: 100, m: 100000}]")
    assert line.startswith("datasets.main.sizes.0.m: 100000 clauses of 3 literals make a prompt of")
    assert "evaluation leaves 248 of the context of model.path" in line
    assert told("stages.grpo.max_completion_length=300", "datasets.main.style=compact") == [
        "stages.1.max_completion_length: max_completion_length 300 and a prompt of 1 do not fit "
        f"the context of model.path '{tmp_path / 'model'}', 256: lower it"
    ]
    assert told("datasets.main.style=compact") == []
    (tmp_path / "model" / "tokenizer.json").unlink()
    assert told("datasets.main.sizes=[{n: 100, m: 100000}]") == []
