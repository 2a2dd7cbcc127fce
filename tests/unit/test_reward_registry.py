"""The registry of rewards, and which part of a completion is the answer."""

import pytest

from reward_fns.answers import completion_text, final_answer
from reward_fns.registry import REWARDS, get_reward, score

ENV = '{"num_vars":2,"k":2,"clauses":[[1,2]],"satisfiable":true}'


def test_every_reward_scores_a_right_answer():
    for name, reward in REWARDS.items():
        assert reward.name == name
        assert score(name, reward.task, "x1=True, x2=True", ENV).value == 1.0
        assert reward.reward_fn(completions=["x1=1, x2=1"], task=["sat"], env=[ENV]) == [1.0]


def test_another_tasks_row_gets_no_score():
    result = score("sat", "abd", "x1=True, x2=True", "no env of ours")
    assert (result.value, result.reason) == (None, "other_task")


def test_an_unknown_reward_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"'sta' is not registered.*sat, sat_affine, sat_fraction"):
        get_reward("sta")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (" plain ", "plain"),
        ("<answer>a</answer> <answer> b </answer> c", "b"),
        ("<think>a</think> b", "b"),
        ("<think>a</think> b </think> c", "c"),
        ("<think><answer>a</answer></think> b", "a"),
        ("<answer>a", "<answer>a"),
        ("a</answer>", "a</answer>"),
        ("</answer><answer>", "</answer><answer>"),
        ("<think>a", "<think>a"),
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
