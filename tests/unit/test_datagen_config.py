"""What a dataset's config refuses, and what it fills in."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from datagen.config import (
    DatasetConfig,
    DimacsConfig,
    PathConfig,
    SatConfig,
    SizeConfig,
    SplitConfig,
    threshold_ratio,
)

ADAPTER = TypeAdapter(DatasetConfig)
VALID = {"type": "sat", "sizes": [{"n": 5, "m": 12}], "splits": {"test": 10}}


def test_a_valid_config_is_read_by_its_type():
    assert isinstance(ADAPTER.validate_python(VALID), SatConfig)
    assert isinstance(ADAPTER.validate_python({"type": "path", "path": "x"}), PathConfig)
    assert isinstance(ADAPTER.validate_python({"type": "dimacs", "path": "x"}), DimacsConfig)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": []}, "at least 1 item"),
        ({"splits": {}}, "at least 1 item"),
        ({"splits": {"test": 0}}, "greater than or equal to 1"),
        ({"splits": {"../test": 1}}, "pattern"),
        ({"splits": {"test": {"num_problem": 1}}}, "Extra inputs"),
        ({"sizes": [{"n": 2}]}, "k 3 is more than n 2"),
        ({"sizes": [{"n": 1}]}, "greater than or equal to 2"),
        ({"sizes": [{"n": 5, "m": 0}]}, "greater than or equal to 1"),
        ({"sizes": [{"n": 5, "m": 1, "ratio": 2}]}, "both given"),
        ({"sizes": [{"n": 5, "ratio": 0.1}]}, "less than one clause"),
        ({"sizes": [{"n": 10_000, "k": 10}]}, "over 20000000 literals"),
        ({"sizes": [{"n": 5, "weight": 0}]}, "greater than 0"),
        ({"family": "planned"}, "'uniform', 'planted' or 'q_hidden'"),
        ({"unsat_fraction": 0.5}, "needs family uniform"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"sise": 3}, "Extra inputs"),
        ({"type": "sta"}, "does not match any of the expected tags"),
        ({"splits": {"t": {"num_problems": 3, "demonstrations": {}}}}, "need style compact"),
    ],
)
def test_mistakes_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python({**VALID, **change})


def test_a_number_is_a_split_of_that_many_problems():
    config = SatConfig.model_validate(VALID)
    assert config.split_configs == {"test": SplitConfig.model_validate({"num_problems": 10})}


@pytest.mark.parametrize(
    ("size", "num_clauses"),
    [
        ({"n": 50}, 213),
        ({"n": 50, "ratio": 4.26}, 213),
        ({"n": 7, "k": 5, "ratio": 4.26}, 29),
        ({"n": 15, "k": 10, "ratio": 4.26}, 63),
        ({"n": 7, "k": 5}, 147),
        ({"n": 4, "k": 2}, 4),
        ({"n": 5, "m": 12}, 12),
    ],
)
def test_the_number_of_clauses_follows_m_or_ratio_or_the_threshold_of_k(size, num_clauses):
    assert SizeConfig.model_validate(size).num_clauses == num_clauses


def test_thresholds_beyond_the_table_follow_the_asymptotic():
    assert threshold_ratio(10) == pytest.approx(709, abs=1)
    assert [threshold_ratio(k) for k in range(2, 8)] == sorted(
        threshold_ratio(k) for k in range(2, 8)
    )
    assert threshold_ratio(7) < threshold_ratio(8) < 2**8 * math.log(2)
