"""The sources for the Gradients platform: they run without this package and agree with ours."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datagen.abd_config import AbdConfig, LevelConfig, ProceduralPrograms
from datagen.config import DatasetConfig, SatConfig, SizeConfig
from datagen.dataset import build_dataset, read_split
from datagen.formats import gradients
from reward_fns.gradients.abd import abd_reward_fn
from reward_fns.gradients.sat import sat_reward_fn
from reward_fns.gradients.standalone import standalone_source
from reward_fns.records import Problem
from reward_fns.registry import get_reward
from tests.task_template import HOSTILE

# As the platform does: the source alone, in an empty namespace, and the first that can be called.
HARNESS = """\
import importlib.util, json, sys
assert importlib.util.find_spec("reward_fns") is None
source, completions, extras = json.load(sys.stdin)
namespace = {}
exec(source, namespace)
function = next(value for value in namespace.values() if callable(value))
print(json.dumps(function(completions, extra_data=extras)))
"""
Rows = list[tuple[str, Problem]]


def alone(source: str, completions: list[Any], extras: Any, folder: Path) -> list[float]:
    """What a source gives in an interpreter of its own, without this package."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", HARNESS],
        input=json.dumps([source, completions, extras]),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def problems(config: DatasetConfig, folder: Path) -> list[Problem]:
    build_dataset(config, folder, seed=11)
    return list(read_split(folder, "train"))


def answered(rows: list[Problem], spoil: Any) -> Rows:
    """Each problem with its own answer, another's, and spoiled ones; hostile texts for a few."""
    others = rows[1:] + rows[:1]
    pairs = [(row.answer, row) for row in rows]
    pairs += [(other.answer, row) for row, other in zip(rows, others, strict=True)]
    pairs += [(text, row) for number, row in enumerate(rows) for text in spoil(number, row.answer)]
    pairs += [(text, row) for row in rows[:2] for text in HOSTILE.values()]
    return pairs


def compare(reward: str, pairs: Rows, folder: Path) -> list[float]:
    """The rewards of a source, which must be those of our own reward."""
    ours = get_reward(reward).score_all([t for t, _ in pairs], [row.env for _, row in pairs])
    extras = [gradients.record(row)["extra_data"] for _, row in pairs]
    theirs = alone(standalone_source(reward), [text for text, _ in pairs], extras, folder)
    different = [
        (text[:300], row.env, mine, its)
        for (text, row), mine, its in zip(pairs, ours, theirs, strict=True)
        if mine.value != its
    ]
    assert different == []
    return theirs


def sat_config() -> SatConfig:
    sizes = [SizeConfig(n=n) for n in (4, 7, 20)] + [SizeConfig(n=130, m=400)]
    return SatConfig(family="q_hidden", sizes=sizes, splits={"train": 900})


def unsat_config() -> SatConfig:
    sizes = [SizeConfig(n=5), SizeConfig(n=6)]
    return SatConfig(family="uniform", sizes=sizes, splits={"train": 300}, unsat_fraction=0.5)


def spoil_sat(number: int, answer: str) -> list[str]:
    flipped = answer.replace("x1=True", "x1=?").replace("x1=False", "x1=True")
    flipped = flipped.replace("x1=?", "x1=False")
    compact = [
        ("" if part.endswith("True") else "-") + part.partition("=")[0][1:]
        for part in answer.split(", ")
    ]
    forms = [
        flipped, answer.lower(), answer.replace("=", " = "), answer.replace(", ", "\n"),
        f"<think>x1=False</think> so <answer>{answer}</answer>", f"**{answer}**",
        f"{answer}, x1=True",
        answer.rpartition(", ")[0], "UNSAT", "The formula is unsatisfiable.", " ".join(compact),
        answer.replace("True", "1").replace("False", "0"), f"[{', '.join(compact)}]", answer * 2,
    ]  # fmt: skip
    return [forms[(number + step) % len(forms)] for step in range(3)]


def test_sat_agrees_on_thousands_of_rows(tmp_path):
    rows = problems(sat_config(), tmp_path / "a") + problems(unsat_config(), tmp_path / "b")
    rewards = compare("sat", answered(rows, spoil_sat), tmp_path)
    assert len(rewards) > 6000
    assert rewards[: len(rows)] == [1.0] * len(rows)
    assert 1500 < sum(rewards) < 5000


def spoil_abd(number: int, answer: str) -> list[str]:
    inside = answer.removeprefix("<INPUT>\n").removesuffix("\n</INPUT>")
    forms = [
        f"<think><INPUT>1</INPUT></think><input> {inside} </input>", f"{answer}<INPUT>1",
        "<INPUT>\n</INPUT>", f"<INPUT>{inside}\nmore</INPUT>", f"<INPUT>{inside[:-1]}</INPUT>",
        inside,
        f"<INPUT>{inside.replace(' ', '  ')}</INPUT>", f"<INPUT>{'9' * 5000}</INPUT>",
        f"<INPUT>{inside.replace('1', '-1')}</INPUT>", f"<INPUT>{inside.replace('2', '7')}</INPUT>",
        "<INPUT>__import__('os').system('true')</INPUT>", f"<INPUT>{inside}\r\n</INPUT>",
        f"<INPUT>{inside.replace('1', '１')}</INPUT>", "<INPUT>1e3 nan</INPUT>",
        f"<INPUT>{inside}\ud800</INPUT>", f"<INPUT>{inside} \x0b\x85\u2028 </INPUT>",
    ]  # fmt: skip
    return [forms[(number + step * 5) % len(forms)] for step in range(3)]


def test_abd_agrees_on_thousands_of_rows(tmp_path):
    levels = tuple(LevelConfig(level=level) for level in ("micro", "easy", "medium", "hard"))
    config = AbdConfig(programs=ProceduralPrograms(levels=levels), splits={"train": 800})
    rows = problems(config, tmp_path / "abd")
    rewards = compare("abd", answered(rows, spoil_abd), tmp_path)
    assert len(rewards) > 4000
    assert rewards[: len(rows)] == [1.0] * len(rows)
    assert 800 < sum(rewards) < 2500


@pytest.mark.parametrize("reward", ["sat", "abd"])
def test_a_source_is_one_function_that_imports_inside_and_executes_nothing(reward):
    tree = ast.parse(standalone_source(reward, "team_"))
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    assert function.name == f"team_{reward}_reward_fn"
    assert [arg.arg for arg in function.args.args] == ["completions", "extra_data"]
    assert function.args.kwarg is not None and function.args.kwarg.arg == "kwargs"
    assert (ast.get_docstring(function) or "").startswith("Score 1.0")
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    called = {n.func.id for n in ast.walk(tree)
              if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}  # fmt: skip
    assert not called & {"exec", "eval", "compile", "__import__", "open"}
    # Where this name stands, the platform puts a helper of its own into the function.
    assert "restricted_execution" not in ast.unparse(tree)


@pytest.mark.parametrize("prefix", ["1", "a-", "é", "a b"])
def test_a_prefix_that_makes_no_name_is_refused(prefix):
    with pytest.raises(ValueError, match="makes no name"):
        standalone_source("sat", prefix)


def test_an_unknown_reward_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="use one of sat, abd"):
        standalone_source("ded")


SAT_EXTRA = {"task_type": "SAT", "cls": [[1, -2], [2, 3]], "num_vars": 3, "satisfiable": True}
ABD_EXTRA = {"task_type": "ABD", "program": "print(int(input()) % 3)", "expected_output": "1\n"}


@pytest.mark.parametrize(
    "extra",
    [None, "", "no JSON", "[]", "{'task_type': 'SAT'}", "[" * 9999,
     json.dumps({"task_type": "DED"}),
     json.dumps({**SAT_EXTRA, "cls": []}), json.dumps({**SAT_EXTRA, "cls": [[0]]}), 7, b"{}",
     json.dumps({**SAT_EXTRA, "cls": None, "num_vars": None}), json.dumps({"task_type": "SAT"}),
     json.dumps({"task_type": ["SAT"]}), json.dumps({**ABD_EXTRA, "program": None}),
     json.dumps({**ABD_EXTRA, "program": "import os"}), json.dumps({"task_type": "ABD"})],
)  # fmt: skip
def test_broken_and_other_extras_score_0(extra):
    for answer in ("x1=True, x2=True, x3=True", "<INPUT>1</INPUT>"):
        assert sat_reward_fn([answer, ""], extra_data=[extra, extra]) == [0.0, 0.0]
        assert abd_reward_fn([answer, ""], extra_data=[extra, extra]) == [0.0, 0.0]


def test_what_upstream_says_of_sat_is_enough():
    extra = json.dumps({"task_type": "sat", "cls": [[1, -2], [2, 3]]})
    answers = ["x1=True, x2=True, x3=False", "x1=True, x2=True", "x1=False, x2=True, x3=True"]
    assert sat_reward_fn(answers, extra_data=[extra] * 3) == [1.0, 0.0, 0.0]


def test_calls_of_the_platform_and_of_trainers_are_answered():
    extra = json.dumps(ABD_EXTRA)
    chat = [{"role": "assistant", "content": "<INPUT>4</INPUT>"}]
    assert abd_reward_fn(["<INPUT>1</INPUT>", chat], extra_data=extra, prompts=["", ""]) == [1, 1]
    assert abd_reward_fn(["<INPUT>1</INPUT>", "2"], extra_data=[ABD_EXTRA]) == [1.0, 0.0]
    assert abd_reward_fn(["a prompt"]) == sat_reward_fn(["a prompt"]) == [0.0]
    assert abd_reward_fn([], extra_data=[]) == []
