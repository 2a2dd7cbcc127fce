"""What an ABD answer is worth: any input that reproduces the output, run in the sandbox."""

import json

import pytest

from reward_fns.abd import (
    abd_affine_reward_fn,
    abd_reward_fn,
    score_abd,
    score_abd_affine,
    score_abd_batch,
)
from reward_fns.program_runs import configure_runs
from reward_fns.sandbox import Limits, shared_sandbox
from tests.task_template import HOSTILE


def env_of(program: str, expected_output: str) -> str:
    return json.dumps({"program": program, "expected_output": expected_output})


MODULO = env_of("n = int(input())\nprint(n % 3)", "1\n")
ECHO = env_of("import sys\nprint(sys.stdin.read(), end='')", "a\n b\n")


@pytest.fixture(autouse=True)
def default_settings():
    yield
    configure_runs()


@pytest.mark.parametrize("number", ["1", "4", "-2", " 7 ", "3_1"])
def test_any_input_that_gives_the_output_is_right(number):
    assert score_abd(f"<INPUT>{number}</INPUT>", MODULO).value == 1.0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("<INPUT>3</INPUT>", "wrong_output"),
        ("<INPUT>one</INPUT>", "error"),
        ("<INPUT></INPUT>", "error"),
        ("1", "no_input"),
        ("<INPUT>1", "no_input"),
        ("<think><INPUT>1</INPUT>", "no_input"),
    ],
)
def test_another_answer_scores_0_and_says_why(answer, reason):
    score = score_abd(answer, MODULO)
    assert (score.value, score.reason) == (0.0, reason)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print(1)\nraise ValueError", "error"),
        ("print(1)\nexit(0)", "error"),
        ("import os\nprint(1, flush=True)\nos._exit(0)", "error"),
        ("print(1)\nwhile True: pass", "timeout"),
        ("print(1)\nx = 'x' * (1 << 30)", "memory"),
        ("print(1)\nwhile True: print(1)", "output"),
        ("print(1", "error"),
    ],
)
def test_a_program_that_does_not_end_well_scores_0_whatever_it_printed(program, reason):
    configure_runs(Limits(wall_s=2.0, cpu_s=1))
    score = score_abd("<INPUT>1</INPUT>", env_of(program, "1\n"))
    assert (score.value, score.reason) == (0.0, reason)


def test_lines_are_compared_without_trailing_blanks_only():
    assert score_abd("<INPUT>\na  \n b\n\n</INPUT>", ECHO).value == 1.0
    assert score_abd("<INPUT>\na\nb\n</INPUT>", ECHO).value == 0.0


def test_the_answer_cannot_see_what_is_expected():
    program = "print(eval(input()))"
    for attack in (
        "[o for o in __import__('gc').get_objects() if isinstance(o, str) and 'secret' in o]",
        "open('/proc/self/environ').read()",
        "__import__('os').popen('env').read()",
    ):
        assert score_abd(f"<INPUT>{attack}</INPUT>", env_of(program, "secret-4711\n")).value == 0.0


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_scores_0_and_raises_nothing(text):
    assert score_abd(text, MODULO).value == 0.0
    assert score_abd(f"<INPUT>{text}</INPUT>", MODULO).value == 0.0
    assert score_abd_affine(f"<INPUT>{text}", MODULO).value in (0.0, 0.1)


@pytest.mark.parametrize(
    "env",
    ["", "[]", "{}", '{"program":"x"}', '{"program":" ","expected_output":"1"}',
     '{"program":"print()","expected_output":"\\n"}', '{"program":1,"expected_output":"1"}'],
)  # fmt: skip
def test_a_broken_env_is_our_own_mistake_and_raises(env):
    with pytest.raises(ValueError, match="env"):
        score_abd("<INPUT>1</INPUT>", env)


def test_rows_of_other_tasks_get_none_and_chats_are_read():
    chat = [{"role": "assistant", "content": "<INPUT>1</INPUT>"}]
    rewards = abd_reward_fn(
        completions=[chat, "anything", "<INPUT>2</INPUT>"],
        task=["abd", "sat", "abd"],
        env=[MODULO, "no env of ours", MODULO],
    )
    assert rewards == [1.0, None, 0.0]
    assert abd_reward_fn(completions=["<INPUT>1</INPUT>"], env=[MODULO]) == [1.0]


def test_equal_runs_are_made_once_and_remembered():
    program = "n = int(input())\nprint(n * 2)  # of this test alone"
    envs = [env_of(program, "10\n")] * 30
    answers = ["<INPUT>5</INPUT>", "<INPUT> 5 </INPUT>", "<INPUT>6</INPUT>"] * 10
    counts = [sum(shared_sandbox().counts.values())]
    for _ in range(2):
        assert [s.value for s in score_abd_batch(answers, envs)] == [1.0, 1.0, 0.0] * 10
        counts.append(sum(shared_sandbox().counts.values()))
    assert counts[1] - counts[0] == 2
    assert counts[2] == counts[1]


@pytest.mark.parametrize("num_loops", [0, 1, 2, 4])
def test_answers_that_loop_score_0_and_take_nothing_from_others(num_loops):
    configure_runs(Limits(wall_s=0.4))
    env = env_of("n = int(input())\nwhile n > 9:\n    pass\nprint(n)", "7\n")
    answers = [*(f"<INPUT>{99 + i}</INPUT>" for i in range(num_loops)), "<INPUT>7</INPUT>"]
    scores = score_abd_batch(answers, [env] * len(answers))
    assert [(s.value, s.reason) for s in scores] == [(0.0, "timeout")] * num_loops + [
        (1.0, "correct")
    ]


FITS = """\
def total(values):
    return sum(values)
n = int(input())
cells = [0] * n
try:
    more = [1] * (n + 9000000)
    print("fits", n % 7)
except MemoryError:
    print("too large")
"""


@pytest.mark.parametrize(("expected", "value"), [("fits 3\n", 1.0), ("too large\n", 0.0)])
def test_what_another_answer_holds_in_memory_turns_no_verdict(expected, value):
    env = env_of(FITS, expected)
    for answers in ([10], [11_000_000, 10], [10]):
        scores = score_abd_batch([f"<INPUT>{n}</INPUT>" for n in answers], [env] * len(answers))
        assert scores[-1].value == value
        configure_runs()


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("<INPUT>abc</INPUT>", 1.0),
        ("<INPUT>abd</INPUT>", 0.3 + 0.6 * 3 / 4),
        ("<INPUT>xyz</INPUT>", 0.3 + 0.6 * 1 / 4),
        ("<INPUT></INPUT>", 0.2),
        ("<INPUT>abc", 0.1),
        ("abc", 0.0),
    ],
)
def test_affines_shaped_reward(answer, value):
    env = env_of("print(input())", "abc\n")
    assert score_abd_affine(answer, env).value == pytest.approx(value)
    assert abd_affine_reward_fn(completions=[answer], env=[env]) == [pytest.approx(value)]


def test_affines_reward_never_reaches_1_by_likeness_and_minds_stderr():
    expected = "a" * 1000 + "\n"
    likely = score_abd_affine("<INPUT>x</INPUT>", env_of(f"print('{'a' * 999}b')", expected))
    assert likely.value == pytest.approx(0.3 + 0.6 * 1000 / 1001)
    program = "import sys\nprint(input())\nprint('warning', file=sys.stderr)"
    assert score_abd_affine("<INPUT>1</INPUT>", env_of(program, "1\n")).value == 0.2
    assert score_abd("<INPUT>1</INPUT>", env_of(program, "1\n")).value == 1.0
