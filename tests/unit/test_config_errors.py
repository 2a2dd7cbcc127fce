"""Every mistake in a config file is told with its place, its value and what is allowed."""

import math
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

import orchestrator.gradients.settings  # noqa: F401  (all configs are to be seen)
from datagen.strict import Strict as DatagenStrict
from orchestrator.config import load_config
from orchestrator.yaml_source import ConfigError
from tests.small_run import CONFIG
from trainers.config import Strict as TrainersStrict


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(text)
    return path


def mistake(tmp_path: Path, text: str) -> str:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value).replace(f"{tmp_path}/", "")
    return message


REPLACED = [
    (
        "{type: tiny, hidden_size: 48, max_position_embeddings: 320}",
        "{type: hf, path: x, dtype: float16}",
        '2:35 model.dtype is "float16": use float32 or bfloat16',
    ),
    ("learning_rate: 1e-3", "lerning_rate: 1e-3", '13:5 unknown key "lerning_rate", did you mean'),
    ("max_steps: 10", "max_stps: 10", '12:5 unknown key "max_stps", did you mean "max_steps"?'),
    ("name: small", "nme: small", '1:1 unknown key "nme", did you mean "name"?'),
    ("hidden_size: 48", "width: 48", '2:21 unknown key "width": known here are type, hidden_size'),
    ("{n: 4, m: 12}", "{n: 4, mm: 12}", '7:20 unknown key "mm", did you mean "m"?'),
    ("hidden_size: 48", "hidden_size: '48'", '2:34 model.hidden_size is "48": use a whole number'),
    ("hidden_size: 48", "hidden_size: 48.5", "2:34 model.hidden_size is 48.5: use a whole number"),
    ("hidden_size: 48", "hidden_size: 4", "2:34 model.hidden_size is 4: must be at least 8"),
    ("hidden_size: 48", "hidden_size: 49", "2:34 model.hidden_size is 49: must be a multiple of 2"),
    ("max_steps: 10", "max_steps: true", "12:16 stages.0.max_steps is true: use a whole number"),
    ("1e-3", ".nan", "13:20 stages.0.learning_rate is NaN: use a finite number"),
    (
        "1e-3",
        "1e-3\n    max_grad_norm: .inf",
        "14:20 stages.0.max_grad_norm is Infinity: use a finite",
    ),
    (
        "1e-3",
        "1e-3\n    weight_decay: 1e400",
        "14:19 stages.0.weight_decay is Infinity: use a finite",
    ),
    (
        "max_steps: 10",
        "max_steps: .inf",
        "12:16 stages.0.max_steps is Infinity: use a finite number",
    ),
    (
        "hidden_size: 48",
        "rope_theta: .inf",
        "2:33 model.rope_theta is Infinity: use a finite number",
    ),
    ("1e-3", "2", "13:20 stages.0.learning_rate is 2: must be at most 1"),
    ("1e-3", "fast", '13:20 stages.0.learning_rate is "fast": use a number'),
    ("1e-3", "1e-3\n    bf16: yes", '14:11 stages.0.bf16 is "yes": use true or false'),
    ("type: grpo", "type: gpro", '14:11 stages.1.type is "gpro": use sft or grpo'),
    ("- type: grpo", "- name: rl", '14:5 stages.1: missing key "type": use sft or grpo'),
    (
        "type: sat",
        "type: sad",
        '5:11 datasets.main.type is "sad": use sat, abd, mix, path or dimacs',
    ),
    ("{n: 4, m: 12}", "{n: 4, k: 5}", "7:23 datasets.main.sizes.0: k 5 is more than n 4"),
    ("m: 12", "m: 0", "7:23 datasets.main.sizes.0.m is 0: must be at least 1"),
    ("[{n: 4, m: 12}]", "[]", "7:12 datasets.main.sizes is []: needs entries, at least 1"),
    ("train: 100", "train: many", '8:21 datasets.main.splits.train is "many": use a whole number'),
    ("train: 100", "train: 0", "8:21 datasets.main.splits.train is 0: must be at least 1"),
    ("num_problems: 10", "problems: 10", '8:33 unknown key "problems", did you mean "num_prob'),
    ("evaluation: {dataset: main}", "", 'missing key "evaluation"'),
    ("evaluation: {dataset: main}", "evaluation:", "17:1 evaluation is null: use a mapping"),
    ("{dataset: main}", "{dataset: men}", '17:23 no dataset is called "men": datasets has main'),
    ("{dataset: main}", "{dataset: main, splits: [dev]}", '17:38 dataset main has no split "dev"'),
    (
        "{dataset: main}",
        "{dataset: main, reward_funcs: [st]}",
        '17:44 no reward is called "st": use sat',
    ),
    (
        "max_steps: 30",
        "max_steps: 30\n    reward_funcs: [abd, abd_affine]",
        "17:19 reward_funcs abd, abd_affine is for no problem of task sat: use sat, sat_fraction,",
    ),
    (
        "{dataset: main}",
        "{dataset: main, reward_funcs: [abd]}",
        "17:43 reward_funcs abd is for no problem of task sat: use sat, sat_fraction, sat_affine",
    ),
    (
        "max_steps: 10",
        "max_steps: 10\n    eval_steps: 5",
        '10:5 dataset main has no split "validation" for eval_split: it has train, test',
    ),
    ("max_steps: 30", "max_steps: 30\n    reward_funcs: [sat, x]", '17:25 no reward is called "x"'),
    ("type: grpo", "type: grpo\n    name: sft", '15:11 2 stages are called "sft": set name'),
    ("  main:", "  /tmp/main:", '4:3 datasets: the name "/tmp/main" must match ^[a-z]'),
    ("name: small", "name: ../x", '1:7 name is "../x": must match'),
    ("name: small", "name: small\nstorage: s3://b/x", '2:10 storage is "s3://b/x": use a local'),
    ("name: small", "name: small\nseed: -1", "2:7 seed is -1: must be at least 0"),
    (
        "max_steps: 30",
        "max_steps: 30\n    loss_type: ppo",
        '17:16 stages.1.loss_type is "ppo": use',
    ),
]


@pytest.mark.parametrize(("right", "wrong", "message"), REPLACED, ids=[r[1][:40] for r in REPLACED])
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in CONFIG
    told = mistake(tmp_path, CONFIG.replace(right, wrong, 1))
    assert message in told
    assert told.startswith("small.yaml:")


def test_empty_stages_are_refused(tmp_path: Path) -> None:
    head, _, rest = CONFIG.partition("stages:\n")
    tail = rest[rest.index("evaluation") :]
    told = mistake(tmp_path, f"{head}stages: []\n{tail}")
    assert told == "small.yaml:9:9 stages is []: needs entries, at least 1"


def test_workers_must_share_the_prompts(tmp_path: Path) -> None:
    told = mistake(tmp_path, CONFIG + "resources: {num_workers: 3}\n")
    assert "256 holds 32 prompts, which 3 workers cannot share: use a multiple of 24" in told
    cut = CONFIG.replace("max_steps: 30", "max_steps: 30\n    steps_per_generation: 16")
    assert load_config(written(tmp_path, cut)).config.stages
    told = mistake(tmp_path, cut + "resources: {num_workers: 4}\n")
    assert "4 workers cannot share in each of 16 steps_per_generation: use a multiple of 51" in told


def test_steps_must_divide_the_prompts(tmp_path: Path) -> None:
    text = CONFIG.replace("max_steps: 30", "max_steps: 30\n    steps_per_generation: 5")
    told = mistake(tmp_path, text)
    assert told.startswith("small.yaml:17:27 stages.1: steps_per_generation 5 does not divide the")
    assert told.endswith("the 32 prompts of generation_batch_size 256: use a divisor")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("max_steps: 10\n    max_completion_length: 320", "13:28 max_completion_length 320 and a"),
        (
            "max_steps: 10\n    max_prompt_length: 100",
            "10:5 max_completion_length 256 and a prompt",
        ),
    ],
)
def test_completions_must_fit_the_context(tmp_path: Path, wrong: str, message: str) -> None:
    told = mistake(tmp_path, CONFIG.replace("max_steps: 10", wrong))
    assert message in told
    assert "do not fit model.max_position_embeddings 320: lower it or raise that" in told


def test_a_validator_points_at_the_field_that_it_names(tmp_path: Path) -> None:
    told = mistake(tmp_path, CONFIG.replace("hidden_size: 48", "num_key_value_heads: 3"))
    assert told.startswith("small.yaml:2:42 model: num_key_value_heads 3 does not divide")


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    text = CONFIG.replace("max_steps: 10", "max_steps: 0").replace("max_steps: 30", "max_step: 30")
    assert mistake(tmp_path, text).splitlines() == [
        "small.yaml:12:16 stages.0.max_steps is 0: must be at least 1",
        'small.yaml:16:5 unknown key "max_step", did you mean "max_steps"?',
    ]


def test_all_combinations_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    text = CONFIG.replace("max_steps: 30", "max_steps: 30\n    split: dev\n    reward_funcs: [x]")
    text = text.replace("{dataset: main}", "{dataset: men}") + "resources: {num_workers: 3}\n"
    assert [line.split(": ")[0] for line in mistake(tmp_path, text).splitlines()] == [
        "small.yaml:14:5 generation_batch_size 256 holds 32 prompts, which 3 workers cannot share",
        'small.yaml:17:12 dataset main has no split "dev"',
        'small.yaml:18:20 no reward is called "x"',
        'small.yaml:19:23 no dataset is called "men"',
    ]


def _all_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    return {model}.union(*map(_all_below, model.__subclasses__()))


@pytest.mark.parametrize("model", sorted(
    _all_below(TrainersStrict) | _all_below(DatagenStrict), key=lambda model: model.__qualname__
))  # fmt: skip
def test_no_number_of_a_config_may_be_infinite(model: type[BaseModel]) -> None:
    """Neither text that is written for people nor a hash can hold one."""
    assert model.model_config["allow_inf_nan"] is False
    for name, known in model.model_fields.items():
        assert "allow_inf_nan" not in repr(known.metadata), name
        if float in (known.annotation, *get_args(known.annotation)):
            for value in (math.inf, -math.inf, math.nan, "inf", "1e400"):
                with pytest.raises(ValidationError) as caught:
                    model.model_validate({name: value})
                assert (name,) in {error["loc"] for error in caught.value.errors()}


def test_a_tilde_is_the_home_folder_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    config = load_config(path, ("storage=~/runs", "model={type: hf, path: ~/m}")).config
    assert (config.storage, config.model.path) == (f"{tmp_path}/home/runs", f"{tmp_path}/home/m")  # type: ignore[union-attr]
    for model in _all_below(TrainersStrict) | _all_below(DatagenStrict):
        for name in {"path", "storage"} & model.model_fields.keys():
            with pytest.raises(ValidationError) as caught:
                model.model_validate({name: "~nobody0/x", "unknown": 1})
            assert "~nobody0/x" in str(caught.value), model


def test_a_home_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    with pytest.raises(ConfigError, match=r"--set storage=~nobody0/runs: .*write \./~nobody0/runs"):
        load_config(path, ("storage=~nobody0/runs",))


TEN = ", ".join(["*{0}"] * 10)
LAUGHS = "a: &a [1, 2]\n" + "".join(
    f"{after}: &{after} [{TEN.format(before)}]\n"
    for before, after in zip("abcdef", "bcdefg", strict=True)
)
MERGED = "a: &a {k: 1}\n" + "".join(
    f"{b}: &{b} {{{', '.join(f'k{n}: {{<<: *{a}}}' for n in range(10))}}}\n"
    for a, b in zip("abcde", "bcdef", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", '2:1 found duplicate key "a"'),
        ("a: [1\nb: 2", "2:2 expected ',' or ']', but got ':'"),
        ("a:\n\t- 1", "2:1 found character '\\t' that cannot start any token"),
        ("a: *x", "1:4 found undefined alias 'x'"),
        ("- 1", "1:1 holds a list: a config is a mapping of keys"),
        ("", "1:1 is empty: a config is a mapping of keys to values"),
        ("just words", "1:1 holds a value 'just words'"),
        ("a: !foo 3", "1:4 tag !foo is not supported"),
        ("a: !!python/object/apply:os.system ['true']", "is not supported"),
        ("a: 1\n---\nb: 2", "2:1 but found another document"),
        (LAUGHS, "more than 20,000 values, aliases counted as what they stand for"),
        (MERGED, "more than 20,000 values, aliases counted as what they stand for"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: 1 #" + "x" * (256 << 10), "small.yaml is over 262,144 bytes"),
    ],
    ids=lambda text: text[:20],
)
def test_broken_yaml_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert message in mistake(tmp_path, text)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read config .*nope.yaml: No such file"):
        load_config(tmp_path / "nope.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 6"):
        load_config(tmp_path / "latin.yaml")
