"""CRUXEval as ABD problems: right iff f(answer) equals the output, whatever the answer is."""

import json

import pytest

from datagen.abd_config import AbdConfig
from datagen.cruxeval import EXPECTED_PROGRAM, cruxeval_program
from datagen.dataset import build_dataset, read_split
from reward_fns.abd import score_abd
from reward_fns.sandbox import shared_sandbox

CODE = """\
offsets = [3, 1, 2]

def f(items, extra=0):
    print("not part of the value")
    return [x + extra for x in items]
"""


def config(path):
    programs = {"type": "cruxeval", "path": str(path)}
    return AbdConfig.model_validate({"programs": programs, "splits": {"test": "all"}})


def results(runs):
    found = shared_sandbox().run_many(runs)
    return [result.stdout.decode().rstrip() if result.status == "ok" else None for result in found]


def called(code, *inputs):
    return results([(cruxeval_program(code), text) for text in inputs])


def test_arguments_are_literals_by_place_or_by_name():
    answers = called(CODE, "[1, 2], 5", "items=(1,), extra=2", "[1],", "{7}", "range(2)", "[]\n")
    assert answers == ["[6, 7]", "[3]", "[1]", "[7]", "[0, 1]", "[]"]


def test_plain_expressions_are_arguments_too():
    code = "def f(x, g=None):\n    return g(x) if g else x\n"
    inputs = ("'a' * 3", "'a-b'.split('-')", "-2 ** 2", "[3, 1], lambda v: v[0] > 2")
    assert called(code, *inputs) == ["'aaa'", "['a', 'b']", "-4", "1"]
    assert called(CODE, "offsets[:2]", "offsets") == ["[3, 1]", "[3, 1, 2]"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[1]) + f([2]",
        "[1])\nf([2]",
        "*[[1]]",
        "**{'items': [1]}",
        "(x := [1])",
        "[x for x in [1]]",
        "f'{1}'",
        "print('[6, 7]')",
        "f([1])",
        "__import__('os')",
        "().__class__",
        "_canonical",
        "open('x')",
        "[1].__iter__()",
        "'{0.__class__}'.format(1).gi_frame",
        "(lambda: (yield))()",
        "[1], 0, 0",
        "[" * 5000,
        "import os",
        "\x00",
    ],
)
def test_other_texts_are_no_arguments(text):
    assert called(CODE, text) == [None]


def test_objects_of_an_answer_cannot_pass_for_a_value():
    code = "def f(x):\n    return x\n"
    inputs = ("lambda: 1", "range(3)", "[lambda: 1]", "{1: range(2)}", "1e999 - 1e999")
    assert called(code, *inputs) == [None] * 5
    forged = 'class X:\n    __eq__ = lambda a, b: True\n    __repr__ = lambda a: "1"\n'
    assert called(forged + "def f(x):\n    return X()\n", "0") == [None]
    assert called("def f(x):\n    return iter(x)\n", "[1]") == [None]


@pytest.mark.parametrize(
    "values",
    [
        ("True", "1", "1.0", "(1+0j)"),
        ("0", "-0.0", "False"),
        ("{'b': 1, 'a': [2]}", "{'a': [2], 'b': True}"),
        ("{3, 1, 2}", "{2, 3, 1.0}"),
        ("set()",),
        ("()",),
        ("(1,)",),
        ("[1]",),
        ("{}",),
        ("'1'",),
        ("b'1'",),
        ("None",),
        ("'é\\n\\ud800'",),
        ("0.1",),
        ("1e999",),
    ],
)
def test_equal_values_are_one_text_and_different_ones_are_not(values):
    texts = set(results([(EXPECTED_PROGRAM, value) for value in values]))
    assert len(texts) == 1
    assert None not in texts
    others = ["2", "[2]", "'2'", "(2,)", "{2}", "{2: 2}", "[1, 1]", "b'2'"]
    assert not texts & set(results([(EXPECTED_PROGRAM, value) for value in others]))


def test_a_function_s_own_types_count_as_the_values_that_they_equal():
    code = (
        "from collections import Counter, OrderedDict, defaultdict\n"
        "def f(x):\n"
        "    return [Counter(x), OrderedDict(a=1), defaultdict(int), frozenset(x), bytearray(b'x')]"
    )
    expected = "[{'b': 1, 'a': 2}, {'a': 1}, {}, {'a', 'b'}, b'x']"
    assert called(code, "'aba'") == results([(EXPECTED_PROGRAM, expected)])


def test_rows_that_do_not_hold_are_left_out(tmp_path):
    rows = [
        {"code": CODE, "input": "[1]", "output": "[1]"},
        {"code": CODE, "input": "[1]", "output": "[2]"},
        {"code": CODE, "input": "1", "output": "[1]"},
        {"code": CODE, "input": "[3]", "output": "[len('abc')]"},
    ]
    path = tmp_path / "crux.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = build_dataset(config(path), tmp_path / "data", seed=0)
    dropped = {reason: count for reason, count in manifest.dropped.items() if count}
    assert dropped == {"not_reproduced": 1, "failed": 1, "no_literal": 1}
    row = next(read_split(tmp_path / "data", "test"))
    assert score_abd("<INPUT>[1, ]</INPUT>", row.env).value == 1.0
    assert score_abd("<INPUT>[2]</INPUT>", row.env).value == 0.0
    path.write_text('{"code": "x", "input": "1"}\n')
    with pytest.raises(ValueError, match=r"crux\.jsonl:1 has no column output"):
        build_dataset(config(path), tmp_path / "other", seed=0)
