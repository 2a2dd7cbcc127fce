"""Batch texts are those of the one-at-a-time writer, which are those of the facts."""

import json

import numpy as np
import pytest

from datagen.columns import answer_texts, prompt_and_env
from datagen.config import SizeConfig
from datagen.fingerprints import fingerprints, formula_fingerprint
from datagen.keys import item_keys
from datagen.sat import FAMILIES
from datagen.styles import answer_text, difficulty_text, env_text, prompt_text

CLAUSES = [[1, -2, 3], [-1, 4, 5], [2, -3, 5]]


def test_the_affine_prompt_is_upstreams():
    assert prompt_text("affine", 5, CLAUSES) == (
        "Find a satisfying assignment for the following 3-SAT formula over variables x1..x5:\n"
        "(x1 ∨ ¬x2 ∨ x3) ∧ (¬x1 ∨ x4 ∨ x5) ∧ (x2 ∨ ¬x3 ∨ x5)\n"
        "Provide your answer as comma-separated assignments like `x1=True, x2=False, ...`, or "
        "respond `UNSAT` if it has no solution."
    )
    assert answer_text("affine", [True, False]) == "x1=True, x2=False"
    assert answer_text("affine", None) == answer_text("compact", None) == "UNSAT"


def test_the_compact_prompt_is_one_token_a_word():
    assert prompt_text("compact", 5, CLAUSES) == "+1 -2 +3 ; -1 +4 +5 ; +2 -3 +5 ="
    assert answer_text("compact", [True, False]) == "+1 -2"


def test_env_and_difficulty_are_compact_json():
    assert env_text(5, [[1, -2, 3]], True) == (
        '{"num_vars":5,"k":3,"clauses":[[1,-2,3]],"satisfiable":true}'
    )
    assert difficulty_text(5, 3, 12) == '{"label":"n5 m12","n":5,"k":3,"m":12,"ratio":2.4}'
    assert json.loads(difficulty_text(7, 5, 29))["label"] == "n7 k5 m29"


@pytest.mark.parametrize("style", ["affine", "compact"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("n", "k", "m"),
    [
        (2, 2, 1),
        (3, 2, 4),
        (5, 3, 12),
        (7, 5, 29),
        (15, 10, 63),
        (50, 3, 21),
        (9, 9, 7),
        (200, 4, 9),
    ],
)
def test_batch_texts_are_those_of_the_plain_writer(style, family, n, k, m):
    drawn = FAMILIES[family](SizeConfig(n=n, k=k, m=m), item_keys("sat", "t", 0, range(20)))
    drawn.satisfiable_N[3] = False
    prompts, envs = prompt_and_env(drawn, style)
    answers = answer_texts(drawn, style)
    for row in range(20):
        clauses, satisfiable = drawn.clauses(row), bool(drawn.satisfiable_N[row])
        solution = drawn.solutions_NV[row].tolist() if satisfiable else None
        assert prompts[row].as_py() == prompt_text(style, n, clauses)
        assert envs[row].as_py() == env_text(n, clauses, satisfiable)
        assert answers[row].as_py() == answer_text(style, solution)


def test_walk_rows_end_in_walk():
    drawn = FAMILIES["planted"](SizeConfig(n=5, k=3, m=4), item_keys("sat", "t", 0, range(4)))
    walk = np.array([True, False, False, True])
    prompts, _ = prompt_and_env(drawn, "compact", walk)
    assert [text.endswith(" walk") for text in prompts.to_pylist()] == walk.tolist()
    assert [text.endswith(" =") for text in prompts.to_pylist()] == (~walk).tolist()


def test_fingerprints_ignore_order_and_nothing_else():
    drawn = FAMILIES["planted"](SizeConfig(n=6, k=3, m=10), item_keys("sat", "t", 0, range(500)))
    marks = fingerprints(drawn.codes_NMK)
    assert len(set(marks.tolist())) == 500
    shuffled = drawn.codes_NMK[:, ::-1, [2, 0, 1]]
    assert (fingerprints(np.ascontiguousarray(shuffled)) == marks).all()
    for row in range(0, 500, 50):
        clauses = drawn.clauses(row)
        assert formula_fingerprint(clauses) == int(marks[row])
        assert formula_fingerprint([clause[::-1] for clause in clauses[::-1]]) == int(marks[row])
        flipped = [[-clauses[0][0], *clauses[0][1:]], *clauses[1:]]
        assert formula_fingerprint(flipped) != int(marks[row])
        assert formula_fingerprint([*clauses, clauses[0]]) != int(marks[row])
