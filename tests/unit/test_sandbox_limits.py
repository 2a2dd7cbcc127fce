"""Limits that cannot be are refused by name."""

import pytest

from reward_fns.sandbox import Limits, Sandbox


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"wall_s": 0}, "wall_s is 0: use a number above 0"),
        ({"wall_s": float("nan")}, "wall_s is nan"),
        ({"wall_s": float("inf")}, "wall_s is inf"),
        ({"wall_s": "5"}, "wall_s is '5': use a number of seconds"),
        ({"cpu_s": 0}, "cpu_s is 0: use 1 to"),
        ({"cpu_s": 1.5}, "cpu_s is 1.5: use a whole number"),
        ({"cpu_s": True}, "cpu_s is True: use a whole number"),
        ({"memory_bytes": 1000}, "memory_bytes is 1000: use 4194304 to"),
        ({"output_bytes": 0}, "output_bytes is 0: use 1 to"),
        ({"input_bytes": -1}, "input_bytes is -1: use 1 to"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(values, told):
    with pytest.raises(ValueError, match=told):
        Limits(**values)


@pytest.mark.parametrize("number", [0, -1, 1000, 1.5, True])
def test_a_pool_of_no_size_is_refused(number):
    with pytest.raises(ValueError, match=f"num_servers is {number!r}: use 1 to 256"):
        Sandbox(number)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode is 'off': use one of guarded, unsafe"):
        Sandbox(1, "off")  # type: ignore[arg-type]
