"""Shared-prefix log-probabilities, entropies and gradients are those of a plain forward."""

import random

import pytest
import torch

from tests.small_models import small_model
from trainers.engine.attention import PLAIN_UP_TO
from trainers.engine.decoder import unsupported_reason
from trainers.engine.layout import lay_out
from trainers.engine.logprobs import CHUNK_LOGITS, token_logprobs
from trainers.engine.select import FastEngine, PlainEngine

FAMILIES = ("llama", "qwen2", "qwen3")
Groups = tuple[list[list[int]], list[list[list[int]]]]


def ragged_groups(prompt_lengths: tuple[int, ...], longest: int = 9, most: int = 4) -> Groups:
    rng = random.Random(len(prompt_lengths) + longest)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(1, 300) for _ in range(count)]

    prompts = [tokens(length) for length in prompt_lengths]
    completions = [
        [tokens(rng.randint(1, longest)) for _ in range(rng.randint(1, most))] for _ in prompts
    ]
    return prompts, completions


CASES = {
    "ragged": ragged_groups((3, 7, 19, 1, 40)),
    "one completion": ragged_groups((5, 12), most=1),
    "one group": ragged_groups((9,)),
    "first tokens only": ragged_groups((3, 8), longest=1),
    "full rectangle": ([[1, 2, 3], [4, 5, 6]], [[[7, 8], [9, 1]], [[2, 3], [4, 5]]]),
    "beyond plain attention": ragged_groups((PLAIN_UP_TO + 10, 30, PLAIN_UP_TO + 3)),
}


def measure(engine, groups: Groups, temperature: float):  # type: ignore[no-untyped-def]
    """Log-probabilities, entropies, and gradients of a random mix of both."""
    model = engine.model if isinstance(engine, PlainEngine) else engine.decoder.model
    model.zero_grad(set_to_none=True)
    logprobs, entropies = engine.logprobs(*groups, temperature)
    mix = torch.Generator().manual_seed(0)
    weights = torch.randn(2, len(logprobs), generator=mix)
    ((logprobs * weights[0]).sum() + (entropies * weights[1]).sum()).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return logprobs.detach(), entropies.detach(), gradients


def assert_close(ours, theirs, tolerance: float) -> None:  # type: ignore[no-untyped-def]
    for mine, other in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(mine, other, atol=tolerance, rtol=tolerance)
    assert ours[2].keys() == theirs[2].keys()
    for name, gradient in theirs[2].items():
        error = (ours[2][name] - gradient).norm() / (gradient.norm() + 1e-12)
        assert error < tolerance, f"{name}: {error}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_models_own_forward(family: str, case: str) -> None:
    model = small_model(family, max_position_embeddings=512)
    ours = measure(FastEngine(model), CASES[case], 0.8)
    assert_close(ours, measure(PlainEngine(model), CASES[case], 0.8), 1e-5)


def test_multi_head_attention_without_sharing() -> None:
    model = small_model("llama", num_key_value_heads=4)
    ours = measure(FastEngine(model), CASES["ragged"], 1.0)
    assert_close(ours, measure(PlainEngine(model), CASES["ragged"], 1.0), 1e-5)


def test_recomputing_activations_changes_nothing() -> None:
    model = small_model("qwen3", num_hidden_layers=3)
    ours = measure(FastEngine(model, recompute=True), CASES["ragged"], 1.0)
    assert_close(ours, measure(FastEngine(model), CASES["ragged"], 1.0), 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_near(family: str) -> None:
    model = small_model(family)
    ours = measure(FastEngine(model, bf16=True), CASES["ragged"], 1.0)
    exact = measure(FastEngine(model), CASES["ragged"], 1.0)
    assert_close(ours, exact, 0.05)
    assert all(gradient.dtype == torch.float32 for gradient in ours[2].values())


def test_plain_engine_equals_a_row_at_a_time() -> None:
    model = small_model("qwen2")
    prompts, completions = CASES["ragged"]
    logprobs, _ = PlainEngine(model).logprobs(prompts, completions, 0.7)
    alone = []
    for prompt, group in zip(prompts, completions, strict=True):
        for completion in group:
            logits = model(input_ids=torch.tensor([prompt + completion])).logits[0] / 0.7
            log_p = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            alone.append(log_p.gather(1, torch.tensor(completion)[:, None])[:, 0])
    torch.testing.assert_close(logprobs, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_chunks_of_the_head_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(23, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=True)
    targets = torch.randint(50, (23,), generator=generator)

    def run() -> list[torch.Tensor]:
        logprobs, entropies = token_logprobs(hidden, weight, targets, 0.9)
        ends = (logprobs.sum() + entropies.square().sum(), (hidden, weight))
        return [logprobs, entropies, *torch.autograd.grad(*ends)]

    whole = run()
    monkeypatch.setattr("trainers.engine.logprobs.CHUNK_LOGITS", 50 * 5)
    for in_chunks, at_once in zip(run(), whole, strict=True):
        torch.testing.assert_close(in_chunks, at_once)
    assert CHUNK_LOGITS > 50 * 23


@pytest.mark.parametrize(
    ("prompts", "completions"),
    (([], []), ([[]], [[[1]]]), ([[1]], [[]]), ([[1]], [[[]]])),
    ids=("no group", "empty prompt", "no completion", "empty completion"),
)
def test_layout_refuses_what_has_no_tokens(prompts: list, completions: list) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match="takes at least one group"):
        lay_out(prompts, completions)


@pytest.mark.parametrize(
    ("change", "reason"),
    (
        ({"attention_dropout": 0.1}, "attention_dropout"),
        ({"hidden_act": "gelu"}, "hidden_act is gelu"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding-window"),
        ({"model_type": "gemma"}, "gemma is not one of"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "changes with the length"),
    ),
)
def test_models_outside_the_fast_path_are_named(change: dict[str, object], reason: str) -> None:
    model = small_model("qwen2")
    for name, value in change.items():
        setattr(model.config, name, value)
    assert reason in str(unsupported_reason(model))


def test_models_inside_the_fast_path() -> None:
    assert [unsupported_reason(small_model(family)) for family in FAMILIES] == [None] * 3
    assert "Linear is not one of" in str(unsupported_reason(torch.nn.Linear(2, 2)))
