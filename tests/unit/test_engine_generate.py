"""Decoding: greedy as Hugging Face decodes, and the same samples whatever shares the batch."""

import itertools
import logging
import random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

from tests.small_models import small_model
from trainers.engine import rollout
from trainers.engine.rollout import Completion, Sampling
from trainers.engine.sampling import uniforms
from trainers.engine.select import Engine, FastEngine, PlainEngine, make_engine

FAMILIES = ("llama", "qwen2", "qwen3")
EOS = (1, 2, 3, 4, 5, 6, 7, 8)
"""So many that rows of an untrained model end at different times."""
SAMPLES, LENGTH = 5, 12


def decided_model(family: str, **overrides: object) -> PreTrainedModel:
    """A small model whose weights are large enough to prefer some tokens clearly."""
    model = small_model(family, vocab_size=60, **overrides)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def some_prompts(count: int = 6) -> list[list[int]]:
    rng = random.Random(1)
    return [[rng.randrange(9, 60) for _ in range(length)] for length in (3, 7, 19, 1, 30, 7)][
        :count
    ]


def noise(count: int, samples: int = SAMPLES, length: int = LENGTH) -> np.ndarray:
    return uniforms(0, 1, [f"p{i}" for i in range(count)], samples, length)


def tokens(groups: list[list[Completion]]) -> list[list[list[int]]]:
    return [[completion.token_ids for completion in group] for group in groups]


def full_logprobs(
    model: PreTrainedModel, prompt: list[int], completion: Completion, temperature: float
) -> torch.Tensor:
    """Log-probabilities [L, V] of a completion's positions, by the model's own forward."""
    ids = torch.tensor([prompt + completion.token_ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_hugging_face(family: str) -> None:
    model = decided_model(family)
    prompts = some_prompts()
    sampling = Sampling(LENGTH, EOS)
    groups = FastEngine(model).generate(prompts, noise(6, 1), sampling, greedy=[0])
    for prompt, (completion,) in zip(prompts, groups, strict=True):
        ids = torch.tensor([prompt])
        expected = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=LENGTH,
            do_sample=False, eos_token_id=list(EOS), pad_token_id=0,
        )  # fmt: skip
        assert completion.token_ids == expected[0, len(prompt) :].tolist()
        assert completion.truncated == (completion.token_ids[-1] not in EOS)


@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_equal_a_full_forward(family: str) -> None:
    model = decided_model(family)
    prompts = some_prompts()
    groups = FastEngine(model).generate(prompts, noise(6), Sampling(LENGTH, EOS, 0.7), greedy=[2])
    lengths = set()
    for prompt, group in zip(prompts, groups, strict=True):
        for row, completion in enumerate(group):
            log_p = full_logprobs(model, prompt, completion, 0.7)
            chosen = log_p.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            torch.testing.assert_close(
                chosen, torch.tensor(completion.logprobs), atol=1e-4, rtol=1e-5
            )
            if row == 2:
                assert completion.token_ids == log_p.argmax(-1).tolist()
            lengths.add(len(completion.token_ids))
    assert len(lengths) > 5, "rows are to end at different times, so that buffers are compacted"


def test_samples_invert_the_distribution() -> None:
    model = decided_model("qwen3")
    (prompt,) = some_prompts(1)
    numbers = noise(1)
    (group,) = FastEngine(model).generate([prompt], numbers, Sampling(LENGTH, EOS))
    for row, completion in enumerate(group):
        cumulative = full_logprobs(model, prompt, completion, 1.0).exp().double().cumsum(-1)
        for position, token in enumerate(completion.token_ids):
            below = float(cumulative[position, token - 1]) if token else 0.0
            assert below - 1e-5 <= numbers[0, row, position] < cumulative[position, token] + 1e-5


@pytest.mark.parametrize("top_p", (1.0, 0.6))
def test_samples_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch, top_p: float) -> None:
    engine = FastEngine(decided_model("qwen3"))
    prompts, numbers = some_prompts(), noise(6)
    sampling = Sampling(LENGTH, EOS, 1.0, top_p)
    together = tokens(engine.generate(prompts, numbers, sampling))
    alone = [
        tokens(engine.generate([prompt], numbers[i : i + 1], sampling))[0]
        for i, prompt in enumerate(prompts)
    ]
    assert alone == together
    backwards = tokens(engine.generate(prompts[::-1], numbers[::-1].copy(), sampling))
    assert backwards[::-1] == together
    monkeypatch.setattr(rollout, "COMPACT_AT", 0.0)
    assert tokens(engine.generate(prompts, numbers, sampling)) == together
    monkeypatch.setattr(rollout, "COMPACT_AT", 1.0)
    assert tokens(engine.generate(prompts, numbers, sampling)) == together


def test_top_p_keeps_to_the_nucleus() -> None:
    model = decided_model("llama")
    prompts = some_prompts()
    groups = FastEngine(model).generate(prompts, noise(6), Sampling(LENGTH, EOS, 1.0, 0.3))
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            ranked, order = (
                full_logprobs(model, prompt, completion, 1.0).exp().sort(-1, descending=True)
            )
            before = ranked.cumsum(-1) - ranked
            for position, token in enumerate(completion.token_ids):
                rank = order[position].tolist().index(token)
                assert before[position, rank] < 0.3 + 1e-5


def test_plain_engine_equals_the_fast_one() -> None:
    model = decided_model("qwen2")
    prompts, numbers = some_prompts(), noise(6)
    sampling = Sampling(LENGTH, EOS, 0.9, 0.8)
    fast = FastEngine(model).generate(prompts, numbers, sampling, greedy=[1])
    plain = PlainEngine(model).generate(prompts, numbers, sampling, greedy=[1])
    assert tokens(fast) == tokens(plain)
    for mine, other in zip(itertools.chain(*fast), itertools.chain(*plain), strict=True):
        assert mine.truncated == other.truncated
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("engine_class", (FastEngine, PlainEngine))
def test_bfloat16_decodes_near_the_exact_logprobs(engine_class: Any) -> None:
    model = decided_model("qwen3")
    prompts = some_prompts()
    engine = engine_class(model, bf16=True)
    errors = []
    for prompt, group in zip(
        prompts, engine.generate(prompts, noise(6), Sampling(LENGTH, EOS)), strict=True
    ):
        for completion in group:
            log_p = full_logprobs(model, prompt, completion, 1.0)
            chosen = log_p.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            errors += (chosen - torch.tensor(completion.logprobs)).abs().tolist()
    assert float(np.mean(errors)) < 0.1


@pytest.mark.parametrize(("samples", "length"), ((1, 1), (1, 12), (5, 1)))
def test_smallest_shapes(samples: int, length: int) -> None:
    engine = FastEngine(decided_model("qwen3"))
    groups = engine.generate(some_prompts(2), noise(2, samples, length), Sampling(length, EOS))
    assert [len(group) for group in groups] == [samples] * 2
    assert all(1 <= len(c.token_ids) <= length for group in groups for c in group)


def test_every_row_ends_at_once() -> None:
    model = decided_model("qwen3")
    groups = FastEngine(model).generate(some_prompts(2), noise(2), Sampling(LENGTH, range(60)))
    assert all(len(c.token_ids) == 1 and not c.truncated for group in groups for c in group)


def test_generating_leaves_training_untouched() -> None:
    """Weights fused for decoding must follow the optimizer and must not gather gradients."""
    model = decided_model("qwen3")
    engine = FastEngine(model)
    prompts, numbers, sampling = some_prompts(2), noise(2), Sampling(LENGTH, EOS)
    engine.generate(prompts, numbers, sampling)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    after = engine.generate(prompts, numbers, sampling)
    assert tokens(after) == tokens(FastEngine(model).generate(prompts, numbers, sampling))
    assert all(parameter.grad is None for parameter in model.parameters())


def foreign_engine() -> Engine:
    config = GPT2Config(vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=64)
    return make_engine(GPT2LMHeadModel(config).eval())


def test_other_models_run_on_the_plain_engine_and_say_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.engine.select._reported", set())
    with caplog.at_level(logging.WARNING):
        engine = foreign_engine()
        foreign_engine()
    assert [r.message for r in caplog.records if "the plain one" in r.message] == [
        "the fast engine does not serve this model (model_type gpt2 is not one of llama, qwen2, "
        "qwen3): using the plain one"
    ]
    prompts = some_prompts(2)
    groups = engine.generate(prompts, noise(2), Sampling(LENGTH, EOS))
    logprobs, _ = engine.logprobs(prompts, tokens(groups))
    sampled = [p for group in groups for c in group for p in c.logprobs]
    assert logprobs.tolist() == pytest.approx(sampled, abs=1e-4)


def made(architecture: str, **shape: int) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = AutoConfig.for_model(architecture, vocab_size=60, **shape)
        model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bf16", [False, True])
def test_the_fast_engine_serves_its_families_in_both_types(family: str, bf16: bool) -> None:
    model = decided_model(family)
    assert isinstance(make_engine(model, bf16), FastEngine)
    assert isinstance(make_engine(model.to(torch.bfloat16)), FastEngine)


WITHOUT_CACHE = {
    "mamba": {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 1},
    "openai-gpt": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64},
    # Its positions count the padding on the left.
    "bart": {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2},
}


@pytest.mark.parametrize("architecture", WITHOUT_CACHE)
def test_models_whose_cache_does_not_serve_read_rows_anew(architecture: str) -> None:
    model = made(architecture, **WITHOUT_CACHE[architecture])
    engine = make_engine(model)
    assert isinstance(engine, PlainEngine) and not engine.cached
    prompts = some_prompts(3)
    groups = engine.generate(prompts, noise(3), Sampling(LENGTH, EOS), greedy=[1])
    logprobs, _ = engine.logprobs(prompts, tokens(groups))
    sampled = [p for group in groups for c in group for p in c.logprobs]
    assert logprobs.tolist() == pytest.approx(sampled, abs=1e-4)
    for prompt, group in zip(prompts, groups, strict=True):
        best = full_logprobs(model, prompt, group[1], 1.0).argmax(-1)
        assert group[1].token_ids == best.tolist()
    assert {c.truncated for group in groups for c in group} == {True, False}


def test_a_model_that_sees_what_follows_is_refused_with_the_gap() -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    told = r"\(bert\) cannot be trained: .* differ by 0\.\d+ nats a token on the plain engine with"
    model = made("bert", intermediate_size=16, **shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    with pytest.raises(ValueError, match=told) as caught:
        make_engine(model)
    assert "\n" not in str(caught.value)
