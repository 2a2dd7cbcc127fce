"""What the config of ABD problems refuses, and what it fills in."""

import pytest
from pydantic import TypeAdapter, ValidationError

from datagen.abd_config import AbdConfig, LevelConfig
from datagen.config import DatasetConfig

ADAPTER = TypeAdapter(DatasetConfig)
MICRO = {"type": "procedural", "levels": [{"level": "micro"}]}
FILE = {"type": "jsonl", "path": "programs.jsonl"}
VALID = {"type": "abd", "programs": MICRO, "splits": {"test": 10}}


def levels(**knobs):
    return {"type": "procedural", "levels": [knobs]}


def test_a_valid_config_is_read_by_its_type():
    config = ADAPTER.validate_python(VALID)
    assert isinstance(config, AbdConfig)
    assert config.split_configs["test"].num_problems == 10
    given = ADAPTER.validate_python({**VALID, "programs": FILE, "splits": {"test": "all"}})
    assert given.split_configs["test"].num_problems == "all"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"programs": levels(level="nano")}, "'micro', 'easy', 'medium' or 'hard'"),
        ({"programs": {"type": "procedural", "levels": []}}, "at least 1 item"),
        ({"programs": {"type": "sql"}}, "does not match any of the expected tags"),
        ({"programs": levels(level="easy", lines=1)}, "greater than or equal to 2"),
        ({"programs": levels(level="easy", depth=7)}, "less than or equal to 6"),
        ({"programs": levels(level="easy", inputs=0)}, "greater than or equal to 1"),
        ({"programs": levels(level="easy", weight=0)}, "greater than 0"),
        ({"programs": levels(level="easy", lenght=3)}, "Extra inputs"),
        ({"programs": levels(level="micro", inputs=4)}, "inputs 4 is too many for level micro"),
        ({"programs": levels(level="micro", max_value=100)}, r"must lie in -99\.\.99"),
        (
            {"programs": levels(level="easy", min_value=9, max_value=9)},
            "min_value 9 is not below max_value 9",
        ),
        (
            {"style": "compact", "programs": levels(level="easy")},
            r"programs\.levels\.0\.level easy has no compact style: use level micro",
        ),
        (
            {"style": "compact", "programs": levels(level="micro", min_value=-3)},
            r"programs\.levels\.0\.min_value -3 has no word in the compact style",
        ),
        ({"style": "compact", "programs": FILE}, "style compact needs programs.type procedural"),
        ({"splits": {"test": "all"}}, "splits.test all needs a file of programs"),
        ({"splits": {"test": "most"}}, "all"),
        ({"splits": {}}, "at least 1 item"),
        ({"splits": {"t": {"num_problems": 3, "demonstrations": {}}}}, "need style compact"),
        (
            {"programs": FILE, "splits": {"a": "all", "b": "all"}},
            "splits.b all: a takes all already",
        ),
        (
            {
                "programs": FILE,
                "splits": {"t": {"num_problems": 3, "levels": [{"level": "easy"}]}},
            },
            r"splits\.t\.levels needs programs\.type procedural",
        ),
        (
            {
                "style": "compact",
                "splits": {"t": {"num_problems": 3, "levels": [{"level": "hard"}]}},
            },
            r"splits\.t\.levels\.0\.level hard has no compact style",
        ),
        ({"max_chance": 0}, "greater than 0"),
        ({"limits": {"wall_s": 0}}, "greater than 0"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_mistakes_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python({**VALID, **change})


def test_levels_fill_in_their_own_knobs_and_are_called_by_those_that_differ():
    plain = LevelConfig(level="medium")
    assert (plain.knobs.lines, plain.knobs.depth, plain.label) == (13, 2, "medium")
    changed = LevelConfig(level="medium", lines=20, inputs=3, max_value=500, depth=2)
    assert changed.knobs.lines == 20
    assert changed.label == "medium l20 i3 1..500"


def test_limits_are_those_of_the_sandbox():
    limits = ADAPTER.validate_python({**VALID, "limits": {"memory_mb": 64}}).limits.sandbox
    assert (limits.wall_s, limits.cpu_s, limits.memory_bytes) == (2.0, 2, 64 << 20)
