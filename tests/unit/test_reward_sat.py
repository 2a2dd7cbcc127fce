"""SAT answers: how they are read, what they are worth, and what cannot trick the reader."""

import itertools
import json
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_fns.formulas import SMALL_ENV_CHARS, ByteFormula, SetFormula, forget_parsed, parse_env
from reward_fns.sat import (
    sat_affine_reward_fn,
    sat_fraction_reward_fn,
    sat_reward_fn,
    score_sat,
    score_sat_affine,
    score_sat_fraction,
)
from tests.task_template import HOSTILE


def env_of(clauses, num_vars, satisfiable=True):
    k = max((len(clause) for clause in clauses), default=0)
    payload = {"num_vars": num_vars, "k": k, "clauses": clauses, "satisfiable": satisfiable}
    return json.dumps(payload, separators=(",", ":"))


ENV = env_of([[1, -2], [2, 3]], 3)
UNSAT_ENV = env_of([[1], [-1]], 1, satisfiable=False)

RIGHT = [
    "x1=True, x2=False, x3=True",
    "x1 = true, x2 = false, x3 = true",
    "x1: 1\nx2: 0\nx3: 1",
    "X1=TRUE,X2=FALSE,X3=TRUE",
    "x3=True, x2=False, x1=True",
    "**x1** = True, `x2` = False, *x3*: **1**",
    "- x1: True\n- x2: False\n- x3: True",
    "| x1 | True |\n| x2 | False |\n| x3 | True |",
    "$x_1 = 1$, $x_{2} = 0$, $x_3 = 1$",
    '```json\n{"x1": true, "x2": false, "x3": true}\n```',
    "The assignment x1=True, x2=False, x3=True satisfies every clause.",
    "1 -2 3",
    "+1 -2 +3",
    "+3 -2 +1",
    "1, -2, 3",
    "[1, -2, 3]",
    "v 1 -2 3 0",
    "Answer: 1 -2 3",
    "The answer is:\n1 -2 3",
    "**1 -2 3**",
    "1 \u22122 3",
    "<think>x1=False or UNSAT?</think>\nx1=True, x2=False, x3=True",
    "<think>1 2 3</think> <answer>1 -2 3</answer> x1=False",
    "<answer>1 2 3</answer> no: <answer> x1=True, x2=False, x3=True </answer>",
    "+1 -2 ; +2 +3 = +1 -2 +3",
    "<THINK>x1=False</Think><thinking>UNSAT</THINKING>x1=True, x2=False, x3=True",
    "<Answer>1 -2 3</ANSWER>",
    "s SATISFIABLE\nv 1 -2\nv 3 0",
    "\\boxed{x1=True, x2=False, x3=True}",
    "x_1 = \\text{True}, x_2 = \\mathrm{False}, x_{3} = \\operatorname{True}",
    "\\begin{aligned}x_1 &= 1 \\\\ x_2 &= 0 \\\\ x_3 &= 1\\end{aligned}",
    "\\fbox{\\textbf{1, -2, 3}}",
    "x\u2081=True, x\u2082=False, x\u2083=True",
    *(f"1 {minus}2 3" for minus in "\u2010\u2011\u2013\u2212\uff0d"),
    "x1\uff1dTrue\uff0cx2\uff1aFalse\uff1bx3=True",
    f"x1{' ' * 50}=True, x2=False, x3=True",
]

WRONG = {
    "x1=True, x2=True, x3=True, x4=True": "unknown_variable",
    "x0=True, x1=True, x2=False, x3=True": "unknown_variable",
    "x1=True, x2=False": "missing_variable",
    "x1=True, x2=False, x3=10": "missing_variable",
    "x1=True, x2=False, x3=Truely": "missing_variable",
    "x1=True, x2=False, x3=1.5": "missing_variable",
    "x1=True, x2=False, ¬x3=False": "missing_variable",
    "x1=True, x2=False, x3=True, x1=False": "contradiction",
    "x1=False, x1=True, x2=False, x3=True": "contradiction",
    "x1=True, x2=False, x3=True, x1=True": "repeated_variable",
    "1 -1 3": "contradiction",
    "1 -2 3 3": "repeated_variable",
    "1 -2 4": "unknown_variable",
    "1 -2": "missing_variable",
    "x1=False, x2=True, x3=True": "unsatisfied_clause",
    "-1 +2 +3": "unsatisfied_clause",
    "UNSAT": "wrong_unsat",
    "The formula is unsatisfiable.": "wrong_unsat",
    "": "no_answer",
    "I cannot tell.": "no_answer",
    "there are 3 variables and 2 clauses": "no_answer",
    "+1 -2 ; +2 +3 =": "no_answer",
    "1 -2 3 or so": "no_answer",
    "<answer></answer>": "no_answer",
    "<think>x1=True, x2=False, x3=True and then": "no_answer",
    "<think>say <answer>1 -2 3</answer>, but": "no_answer",
    "<think>say <answer>1 -2 3</answer></think> I do not know.": "no_answer",
    "<THINKING>1 -2 3</Thinking>": "no_answer",
    "x1=True, x2=False, x3=True, x99999999=True": "unknown_variable",
    f"x1=True, x2=False, x3=True, x{'7' * 5000}=False": "unknown_variable",
    "1 -2 3 99999999": "unknown_variable",
    f"1 -2 3\nv -{'7' * 5000} 0": "unknown_variable",
    "x1=True, x2=False, x3=True, ~x1=True": "contradiction",
    "x1=True, x2=False, x3=True, -x1=True": "contradiction",
    "x1=True, x2=False, x3=True; but in fact not x1 = True": "contradiction",
    "x1=True, x2=False, x3=True, ¬(x1 = True)": "contradiction",
    "x1=True, x2=False, x3=True, x1 = \\neg \\text{True}": "contradiction",
    "x1=True, x2=False, x3=True, \\lnot x_1": "contradiction",
    "x1=True, x2=False, x3=True, x1\u2260True": "contradiction",
    "x1=True, x2=False, x3=True, x\uff11=False": "contradiction",
    f"x1=True, x2=False, x3=True, x1{' ' * 50}=False": "contradiction",
    "x1=True, x2=False, x3=True\nv -1 2 -3 0": "mixed_styles",
    "-1 2 -3\nx1=True, x2=False, x3=True": "mixed_styles",
    "x1=True, -2, 3": "mixed_styles",
    "-2, x1=True, x3=True": "mixed_styles",
    "x1=True, x2=False, x3=True\nUNSAT": "mixed_styles",
    "1 -2 3\nUNSAT": "mixed_styles",
    "UNSAT\n1 -2 3": "mixed_styles",
    "1 -2 3\nv -1 2 -3 0": "contradiction",
    "-1 2 -3\nso the answer is rather\n1 -2 3": "contradiction",
    "answer = -1 2 -3\nanswer = 1 -2 3": "contradiction",
    "answer = -1 2 -3, answer = 1 -2 3": "no_answer",
}


@pytest.mark.parametrize("text", RIGHT)
def test_right_answers_in_many_forms_score_1(text):
    assert score_sat(text, ENV).value == 1.0
    assert score_sat_fraction(text, ENV).value == 1.0


@pytest.mark.parametrize(("text", "reason"), WRONG.items())
def test_wrong_answers_score_0_for_the_right_reason(text, reason):
    assert (score_sat(text, ENV).value, score_sat(text, ENV).reason) == (0.0, reason)
    assert score_sat_fraction(text, ENV).value < 1.0


def test_the_prompt_repeated_is_not_an_answer():
    # x1=True, x2=False, the example in the prompt, satisfies this formula.
    prompt = (
        "Find a satisfying assignment for the following 2-SAT formula over variables x1..x2:\n"
        "(x1 ∨ ¬x2)\n"
        "Provide your answer as comma-separated assignments like `x1=True, x2=False, ...`, or "
        "respond `UNSAT` if it has no solution."
    )
    env = env_of([[1, -2]], 2)
    assert score_sat("x1=True, x2=False", env).value == 1.0
    assert score_sat(prompt, env).value == 0.0
    assert score_sat(prompt, env_of([[1], [-1]], 2, satisfiable=False)).value == 0.0
    assert score_sat(prompt + "\nx1=True, x2=True", env).value == 1.0
    assert score_sat_affine(prompt, env).value == 1.0


@pytest.mark.parametrize("text", ["UNSAT", "unsatisfiable", "**UNSAT**.", "Answer: UNSAT"])
def test_unsat_is_right_for_unsatisfiable_problems_only(text):
    assert score_sat(text, UNSAT_ENV).value == 1.0
    assert score_sat_fraction(text, UNSAT_ENV).value == 1.0
    assert score_sat(text, ENV).value == 0.0


@pytest.mark.parametrize("text", ["x1=True", "x1=True or UNSAT", "not UNSAT", "SAT or UNSAT?"])
def test_hedging_is_not_unsat(text):
    assert score_sat(text, UNSAT_ENV).value == 0.0


def test_the_fraction_counts_satisfied_clauses():
    env = env_of([[1], [2], [-1, -2], [3]], 3)
    assert score_sat_fraction("1 2 3", env).value == 0.75
    assert score_sat_fraction("-1 -2 -3", env).value == 0.25
    assert score_sat_fraction("-1 -2", env).value == 0.0
    large = env_of([[1], [2], [-1, -2], [127]], 127)
    text = " ".join(str(v) for v in range(1, 128))
    assert score_sat_fraction(text, large).value == 0.75


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_scores_0_fast(name):
    start = time.process_time()
    for env in (ENV, UNSAT_ENV, env_of([[1, -2, 127]], 127)):
        assert score_sat(HOSTILE[name], env).value == 0.0
        assert score_sat_fraction(HOSTILE[name], env).value < 1.0
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_never_raises_under_upstreams_rule(name):
    start = time.process_time()
    score_sat_affine(HOSTILE[name], UNSAT_ENV.replace("[-1]", "[1]").replace("false", "true"))
    assert time.process_time() - start < 2.0


@settings(deadline=None)
@given(st.text("x123=+-TrueFalse0 ,:;\n<answer>/thinkUNSAT`*_[]{}|¬\u0661\uff11", max_size=60))
def test_no_text_raises(text):
    for score in (score_sat, score_sat_fraction, score_sat_affine):
        assert 0.0 <= score(text, ENV).value <= 1.0


BROKEN = [
    "",
    "[]",
    "nonsense",
    "[" * 100_000,
    '{"num_vars":3,"k":2,"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1],[],[2]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1,0]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1,4]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1,-4]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1,"2"]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1,true]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1,;,2]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1.0]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":1,"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[1],"satisfiable":true}',
    '{"num_vars":0,"k":2,"clauses":[[1]],"satisfiable":true}',
    '{"num_vars":"3","k":2,"clauses":[[1]],"satisfiable":true}',
    '{"num_vars":3,"k":2,"clauses":[[1]]}',
    '{"num_vars":3,"k":2,"clauses":[[1]],"satisfiable":1}',
    None,
    {"num_vars": 3},
]


@pytest.mark.parametrize("env", BROKEN)
@pytest.mark.parametrize("score", [score_sat, score_sat_fraction, score_sat_affine])
def test_a_broken_env_raises_whatever_the_answer(score, env):
    for text in ("x1=True, x2=True, x3=True", "UNSAT", ""):
        with pytest.raises(ValueError, match="env"):
            score(text, env)


def test_an_assignment_that_refutes_the_certificate_raises():
    with pytest.raises(ValueError, match="satisfiable false"):
        score_sat("1", env_of([[1]], 1, satisfiable=False))


def spaced(env):
    return json.dumps(json.loads(env), indent=1)


@pytest.mark.parametrize("num_vars", [4, 126, 127, 300])
def test_every_way_of_parsing_an_env_gives_the_same_verdicts(num_vars):
    coins = random.Random(num_vars)
    for _ in range(30):
        clauses = [
            [v * coins.choice((1, -1)) for v in coins.sample(range(1, num_vars + 1), length)]
            for length in (1, 2, 3, 3, 4)
        ]
        env = env_of(clauses, num_vars)
        kind = ByteFormula if num_vars <= 126 else SetFormula
        assert type(parse_env(env)) is type(parse_env(spaced(env))) is kind
        for _ in range(20):
            values = [coins.random() < 0.5 for _ in range(num_vars)]
            true = {v if value else -v for v, value in enumerate(values, 1)}
            wanted = sum(bool(true & set(clause)) for clause in clauses) / len(clauses)
            styles = (
                ", ".join(f"x{v}={value}" for v, value in enumerate(values, 1)),
                " ".join(f"{v if value else -v:+d}" for v, value in enumerate(values, 1)),
                "\n".join(f"x{v} : {int(value)}" for v, value in enumerate(values, 1)),
            )
            for text, payload in itertools.product(styles, (env, spaced(env))):
                assert score_sat_fraction(text, payload).value == wanted
                assert score_sat(text, payload).value == float(wanted == 1)


def test_large_envs_are_parsed_and_forgotten_too():
    num_vars = 2000
    env = env_of([[v, -(v + 1)] for v in range(1, num_vars)], num_vars)
    assert len(env) > SMALL_ENV_CHARS
    text = " ".join(f"+{v}" for v in range(1, num_vars + 1))
    assert score_sat(text, env).value == 1.0
    forget_parsed()
    assert score_sat(text.replace("+2000", "-2000"), env).value == 1.0
    assert score_sat(text.replace("+1 ", "-1 ", 1).replace("+2 ", "+2 ", 1), env).value == 0.0


def upstream_rule(reply, clauses):
    """Affine's evaluator, written down from its description."""
    values = {}
    for number, value in re.findall(r"x(\d+)=(True|False|1|0)", reply):
        values[int(number)] = value in ("True", "1")
    return float(all(any(values.get(abs(x)) == (x > 0) for x in clause) for clause in clauses))


AFFINE_REPLIES = [
    "x1=True, x2=False, x3=True",
    "x1 = True, x2 = False, x3 = True",
    "x1=true, x2=false, x3=true",
    "x1: True, x2: False",
    "x1=10, x3=1",
    "x1=True, x3=1",
    "x1=False, x1=True, x3=True",
    "x1=True, x1=False, x3=True",
    "`x1=True, x2=False, ...`",
    "x2=False, x3=True",
    "x1=True",
    "x99=True, x1=1, x2=1",
    "x01=True, x3=True",
    "x１=True, x３=True",
    "prefixx1=Truex3=1",
    "UNSAT",
    "",
]


@pytest.mark.parametrize("reply", AFFINE_REPLIES)
def test_the_affine_rule_is_upstreams(reply):
    clauses = [[1, -2], [2, 3]]
    assert score_sat_affine(reply, ENV).value == upstream_rule(reply, clauses)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["x1=", "x2=", "x3=", "True", "False", "1", "0", ", ", " "])))
def test_the_affine_rule_is_upstreams_on_any_reply(parts):
    reply = "".join(parts)
    assert score_sat_affine(reply, ENV).value == upstream_rule(reply, [[1, -2], [2, 3]])


def test_numbers_that_python_does_not_read_score_0_under_the_affine_rule():
    assert score_sat_affine("x" + "1" * 5000 + "=True", ENV).reason == "too_long"
    assert score_sat_affine("x1=True " * 200_000, ENV).reason == "too_long"


def test_the_reward_functions_follow_trls_protocol():
    completions = [
        "1 -2 3",
        "1 2 -3",
        [{"role": "assistant", "content": "x1=True, x2=False, x3=True"}],
        [
            {"role": "assistant", "content": "1 -2 3"},
            {"role": "assistant", "content": "<think>"},
        ],
        [{"role": "assistant", "content": [{"type": "text", "text": "1 -2 3"}]}],
        [{"role": "assistant", "content": None}],
        [],
        "1 -2 3",
    ]
    rewards = sat_reward_fn(
        prompts=["?"] * 8,
        completions=completions,
        completion_ids=[[1]] * 8,
        trainer_state=None,
        task=["sat"] * 7 + ["abd"],
        env=[ENV] * 7 + ["not for us"],
        difficulty=["{}"] * 8,
    )
    assert rewards == [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, None]
    assert sat_fraction_reward_fn(completions=["-1 2 3"], task=["sat"], env=[ENV]) == [0.5]
    assert sat_affine_reward_fn(completions=["x1=1 x3=1"], task=["sat"], env=[ENV]) == [1.0]
    assert sat_reward_fn(completions=["1 -2 3"], env=[ENV]) == [1.0]


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        sat_reward_fn(completions=["1", "2"], task=["sat"] * 2, env=[ENV])
