"""The slow, general engine: any causal language model through its own forward.

It serves models that the fast engine does not know. Each completion stands in a row of its own
beside its prompt, padded; decoding uses the model's own cache.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainers.engine.rollout import Completion, Sampling
from trainers.engine.sampling import pick


def plain_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[Sequence[int]]],
    temperature: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return log-probability and entropy of every completion token, [M] each, in float32."""
    rows = [
        (prompt, completion)
        for prompt, group in zip(prompts, completions, strict=True)
        for completion in group
    ]
    device = next(model.parameters()).device
    width = max(len(p) + len(c) for p, c in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, (prompt, completion) in enumerate(rows):
        ids[i, : len(prompt) + len(completion)] = torch.as_tensor([*prompt, *completion])
        mask[i, : len(prompt) + len(completion)] = 1
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    logprobs, entropies = [], []
    for i, (prompt, completion) in enumerate(rows):
        at = slice(len(prompt) - 1, len(prompt) + len(completion) - 1)
        log_p = (logits[i, at].float() / temperature).log_softmax(-1)
        target = torch.as_tensor(completion, device=device)[:, None]
        logprobs.append(log_p.gather(1, target)[:, 0])
        entropies.append(-torch.linalg.vecdot(log_p.exp(), log_p))
    return torch.cat(logprobs), torch.cat(entropies)


@torch.no_grad()
def plain_generate(
    model: Any, prompts: Sequence[Sequence[int]], uniforms: np.ndarray, sampling: Sampling,
    greedy: Sequence[int] = (),
) -> list[list[Completion]]:  # fmt: skip
    """Decode like `trainers.engine.rollout.generate`, with left padding and the model's cache."""
    device = next(model.parameters()).device
    num_samples = uniforms.shape[1]
    rows = [prompt for prompt in prompts for _ in range(num_samples)]
    width = max(len(prompt) for prompt in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(rows):
        ids[i, width - len(prompt) :] = torch.as_tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    uniform_nL = torch.from_numpy(uniforms).flatten(0, 1).to(device)
    is_greedy = torch.zeros(len(prompts), num_samples, dtype=torch.bool, device=device)
    is_greedy[:, list(greedy)] = True
    eos = torch.tensor(sorted(sampling.eos_token_ids), device=device)
    alive = torch.ones(len(rows), dtype=torch.bool, device=device)
    tokens: list[list[int]] = [[] for _ in rows]
    logprobs: list[list[float]] = [[] for _ in rows]
    cache: Any = None
    positions = mask.cumsum(-1) - 1
    for position in range(sampling.max_new_tokens):
        out = model(
            input_ids=ids, attention_mask=mask, position_ids=positions.clamp(min=0),
            past_key_values=cache, use_cache=True,
        )  # fmt: skip
        cache = out.past_key_values
        token_n, logprob_n = pick(
            out.logits[:, -1], uniform_nL[:, position], is_greedy.flatten() if greedy else None,
            sampling.temperature, sampling.top_p,
        )  # fmt: skip
        for i in alive.nonzero()[:, 0].tolist():
            tokens[i].append(int(token_n[i]))
            logprobs[i].append(float(logprob_n[i]))
        alive = alive & ~torch.isin(token_n, eos)
        if not bool(alive.any()):
            break
        ids = token_n[:, None]
        mask = torch.cat((mask, torch.ones_like(ids)), dim=1)
        positions = mask.sum(-1, keepdim=True) - 1
    flat = [
        Completion(t, p, t[-1] not in sampling.eos_token_ids)
        for t, p in zip(tokens, logprobs, strict=True)
    ]
    return [flat[i : i + num_samples] for i in range(0, len(flat), num_samples)]
