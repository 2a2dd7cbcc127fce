"""The registry of rewards, and which part of a completion is the answer."""

import subprocess
import sys
from pathlib import Path

import pytest

import reward_fns
from reward_fns.answers import completion_text, final_answer
from reward_fns.records import Problem
from reward_fns.registry import REWARDS, choose_rewards, get_reward, score, score_rows

ENV = '{"num_vars":2,"k":2,"clauses":[[1,2]],"satisfiable":true}'


RIGHT = {
    "sat": ("x1=True, x2=True", ENV),
    "abd": ("<INPUT>5</INPUT>", '{"program":"print(int(input()) + 4)","expected_output":"9"}'),
}


def test_every_reward_scores_a_right_answer():
    for name, reward in REWARDS.items():
        answer, env = RIGHT[reward.task]
        assert reward.name == name
        assert score(name, reward.task, answer, env).value == 1.0
        assert reward.reward_fn(completions=[answer], task=[reward.task], env=[env]) == [1.0]


def test_the_package_offers_them_and_loads_nothing_but_the_standard_library():
    for name, reward in REWARDS.items():
        assert getattr(reward_fns, f"{name}_reward_fn") is reward.reward_fn
    with pytest.raises(ImportError, match="cannot import name 'maze_reward_fn'"):
        from reward_fns import maze_reward_fn  # noqa: F401
    program = (
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport reward_fns\n"
        "before = set(sys.modules)\n"
        "from reward_fns import Sandbox, abd_reward_fn, sat_reward_fn\n"
        "print('reward_fns.sat' in before, *{m.partition('.')[0] for m in sys.modules}\n"
        "      - sys.stdlib_module_names - {'__main__'})"
    )
    root = str(Path(reward_fns.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, root], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("False reward_fns\n", "")


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="sat_reward_fn needs the column env"):
        reward_fns.sat_reward_fn(prompts=["?"], completions=["1"], task=["sat"])


@pytest.mark.parametrize(
    "prompt", ["Think first.\n<think>\n", "A: <Thinking>", "<think>a</think>", "?"]
)
def test_a_thought_that_the_prompt_begins_is_no_answer_until_it_ends(prompt):
    answer, env = RIGHT["sat"]
    texts = [answer, f"{answer}</think>no", f"{RIGHT['abd'][0]}</think>{answer}"]
    chats = [{"role": "user", "content": "?"}, {"role": "assistant", "content": prompt}]
    thinks = prompt.strip().lower().endswith(("<think>", "<thinking>"))
    for given in (prompt, chats):
        rewards = reward_fns.sat_reward_fn([given] * 3, texts, env=[env] * 3)
        assert rewards == [0.0 if thinks else 1.0, 0.0, 1.0]


def test_without_names_each_task_is_scored_by_its_own_reward():
    assert [reward.name for reward in choose_rewards(None)] == list(RIGHT)
    tasks = ["abd", "sat", "other", "abd"]
    problems = [Problem("", t, "", 0, "", "", RIGHT.get(t, ("", ""))[1], "") for t in tasks]
    texts = [RIGHT["abd"][0], RIGHT["sat"][0], "text", "no input"]
    scores = score_rows(choose_rewards(None), problems, texts)
    assert [s.value for s in scores] == [1.0, 1.0, None, 0.0]
    assert [s.reason for s in scores] == ["correct", "correct", "other_task", "no_input"]


def test_the_first_reward_for_a_task_is_the_one_that_counts():
    problem = Problem(
        "",
        "sat",
        "",
        0,
        "",
        "",
        '{"num_vars":2,"k":2,"clauses":[[1,2],[-1,2]],"satisfiable":true}',
        "",
    )
    half = "x1=True, x2=False"
    for names, value in ((("sat_fraction", "sat"), 0.5), (("sat", "sat_fraction"), 0.0)):
        assert score_rows(choose_rewards(names), [problem], [half])[0].value == value


def test_another_tasks_row_gets_no_score():
    result = score("sat", "abd", "x1=True, x2=True", "no env of ours")
    assert (result.value, result.reason) == (None, "other_task")


def test_an_unknown_reward_is_refused_with_the_names_there_are():
    with pytest.raises(
        ValueError, match=r"'sta' is not registered.*abd, abd_affine, sat, sat_affine, sat_fraction"
    ):
        get_reward("sta")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (" plain ", "plain"),
        ("<answer>a</answer> <answer> b </answer> c", "b"),
        ("<think>a</think> b", "b"),
        ("<think>a</think> b </think> c", "c"),
        ("<think><answer>a</answer></think> b", "b"),
        ("<answer>a", "<answer>a"),
        ("a</answer>", "a</answer>"),
        ("</answer><answer>", "</answer><answer>"),
        ("<think>a", ""),
        ("<Thinking>a</THINK> b", "b"),
        ("a <think>b", "a"),
        ("<think>a <answer>b</answer> c", ""),
        ("<ANSWER>a</Answer> b", "a"),
        ("<answer>a<answer>b</answer>", "b"),
        ("", ""),
    ],
)
def test_the_answer_is_the_last_tagged_part_or_what_follows_the_thought(completion, answer):
    assert final_answer(completion) == answer


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("a", "a"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "b"),
        (
            [{"content": [{"type": "text", "text": "a"}, {"type": "image"}, "x", {"text": "b"}]}],
            "ab",
        ),
        ([{"content": 3}], ""),
        ([{}], ""),
        ([3], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_a_completion_of_any_shape_is_text(completion, text):
    assert completion_text(completion) == text


def test_rewards_for_none_of_the_tasks_are_refused() -> None:
    assert [reward.name for reward in choose_rewards(["abd", "sat"], {"sat"})] == ["abd", "sat"]
    with pytest.raises(
        ValueError, match=r"^reward_funcs abd is for no problem of task sat: use sat,"
    ):
        choose_rewards(["abd"], {"sat"})
    with pytest.raises(ValueError, match="sat, abd is for no problem of task z: use a dataset of"):
        choose_rewards(None, {"z"})
