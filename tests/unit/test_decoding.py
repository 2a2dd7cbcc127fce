"""Completions as text: what the tokenizer calls special reaches the rewards too."""

from pathlib import Path

import pytest

from reward_fns.records import Problem
from tests.small_models import CHAT_TEMPLATE, byte_tokenizer, small_model
from trainers.config import EvaluationConfig, GrpoConfig, HfModelConfig
from trainers.data import decode_completions
from trainers.engine.rollout import Completion
from trainers.engine.select import make_engine
from trainers.evaluate import answer_problems, encode_for_evaluation
from trainers.generate import generate_text
from trainers.models.load import Policy, load_policy
from trainers.scoring import Scorer

TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<INPUT>", "</INPUT>")
SAT_ENV = '{"num_vars":2,"k":2,"clauses":[[1,2]],"satisfiable":true}'
ABD_ENV = '{"program":"print(int(input()) + 4)","expected_output":"9"}'


def problem(task: str, env: str) -> Problem:
    return Problem(f"{task}:0", task, "test", 0, "?", "", env, "{}")


SAT, ABD = problem("sat", SAT_ENV), problem("abd", ABD_ENV)


def tagged_policy(folder: Path, chat_template: str = CHAT_TEMPLATE) -> Policy:
    """A model whose tokenizer calls the tags of thoughts and answers special."""
    tokenizer = byte_tokenizer(chat_template)
    tokenizer.add_special_tokens({"additional_special_tokens": list(TAGS), "pad_token": "<pad>"})
    small_model("qwen2", vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_policy(HfModelConfig(type="hf", path=str(folder)), 0, "cpu")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return tagged_policy(tmp_path_factory.mktemp("tagged"))


def tokens(policy: Policy, text: str) -> list[int]:
    """A completion that was sampled: ended, and padded."""
    ids = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert all(
        tag not in text or policy.tokenizer.convert_tokens_to_ids(tag) in ids for tag in TAGS
    )
    return [*ids, policy.eos_token_ids[0], policy.pad_token_id, policy.pad_token_id]


@pytest.mark.parametrize(
    ("task", "text", "reward"),
    [
        (SAT, "<think>x1=False fails</think>\nx1=True, x2=False", 1.0),
        (SAT, "<think>x1=True, x2=False</think>\nI cannot say.", 0.0),
        (SAT, "<think>x1=True, x2=False", 0.0),
        (SAT, "x1=False <answer>x1=True, x2=False</answer>", 1.0),
        (ABD, "<think><INPUT>5</INPUT></think><INPUT>6</INPUT>", 0.0),
        (ABD, "<think><INPUT>6</INPUT></think><INPUT>5</INPUT>", 1.0),
    ],
)
def test_special_tags_count_and_ends_and_pads_are_dropped(
    policy: Policy, task: Problem, text: str, reward: float
) -> None:
    ids = tokens(policy, text)
    assert decode_completions(policy, [ids]) == [text]
    scorer = Scorer(GrpoConfig(type="grpo", dataset="main", max_steps=1), policy, {"sat"})
    sampled = [[Completion(ids, [0.0] * len(ids), truncated=False)]]
    (group,) = scorer.score([task], [[1]], sampled)
    assert (group.texts, group.rewards.tolist()) == ([text], [reward])


def test_no_completions_have_no_texts(policy: Policy) -> None:
    assert decode_completions(policy, []) == []
    assert decode_completions(policy, [[policy.eos_token_ids[0]], []]) == ["", ""]


def test_special_tags_reach_evaluations_and_people(policy: Policy) -> None:
    """An untrained model says every token now and then."""
    config = EvaluationConfig(
        dataset="main", max_completion_length=64, num_samples=32, temperature=2.0
    )
    prompts = encode_for_evaluation(policy, [SAT], config)
    engine = make_engine(policy.model)
    (row,) = answer_problems(policy, engine, [SAT], prompts, config, seed=0)
    folder = Path(policy.model.config.name_or_path)
    texts = generate_text(folder, "?", num_samples=32, temperature=2.0, max_completion_length=64)
    for said in ([sample["text"] for sample in row["samples"]], texts):
        assert all(any(tag in text for text in said) for tag in TAGS)
        assert not any("<|im_end|>" in text or "<pad>" in text for text in said)


def test_a_thought_that_the_template_begins_ends_where_the_model_ends_it(tmp_path: Path) -> None:
    begins = CHAT_TEMPLATE.replace("assistant\n", "assistant\n<think>\n")
    policy = tagged_policy(tmp_path, begins)
    texts = decode_completions(
        policy, [tokens(policy, "x1=True, x2=False"), tokens(policy, "</think>x1=True, x2=False")]
    )
    assert texts == ["<think>x1=True, x2=False", "<think></think>x1=True, x2=False"]
