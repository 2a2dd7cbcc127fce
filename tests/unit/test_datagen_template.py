"""SAT passes the template that every task passes, in each family and style."""

import pytest

from datagen.config import SatConfig, SizeConfig
from reward_fns.registry import score
from tests.task_template import check_task

SIZES = [SizeConfig(n=4, m=10), SizeConfig(n=6, m=24), SizeConfig(n=6, k=4, m=20)]


@pytest.mark.parametrize("style", ["affine", "compact"])
@pytest.mark.parametrize("family", ["uniform", "planted", "q_hidden"])
def test_sat_passes_the_template(family, style, tmp_path):
    config = SatConfig(family=family, style=style, sizes=SIZES, splits={"test": 60, "train": 40})
    for row in check_task(config, "sat", tmp_path):
        assert score("sat_fraction", row.task, row.answer, row.env).value == 1.0
        if style == "affine":
            assert score("sat_affine", row.task, row.answer, row.env).value == 1.0


def test_unsatisfiable_problems_pass_it_too(tmp_path):
    config = SatConfig(
        family="uniform", sizes=[SizeConfig(n=5)], splits={"test": 60}, unsat_fraction=0.5
    )
    rows = check_task(config, "sat", tmp_path)
    unsat = [row for row in rows if row.answer == "UNSAT"]
    assert 15 < len(unsat) < 45
    assert all('"satisfiable":false' in row.env for row in unsat)
    for row in unsat:
        wrong = ", ".join(f"x{v}=True" for v in range(1, 6))
        assert score("sat", "sat", wrong, row.env).value == 0.0
