"""The slow, general engine: any causal language model through its own forward.

It serves models that the fast engine does not know. Each completion stands in a row of its own
beside its prompt, padded. Decoding uses the model's own cache, or, for models that have none or
take no padding on the left, reads each row anew for every token, as training does.
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
    logits = _read(model, [[*prompt, *completion] for prompt, completion in rows])
    logprobs, entropies = [], []
    for i, (prompt, completion) in enumerate(rows):
        at = slice(len(prompt) - 1, len(prompt) + len(completion) - 1)
        log_p = (logits[i, at].float() / temperature).log_softmax(-1)
        target = torch.as_tensor(completion, device=device)[:, None]
        logprobs.append(log_p.gather(1, target)[:, 0])
        entropies.append(-torch.linalg.vecdot(log_p.exp(), log_p))
    return torch.cat(logprobs), torch.cat(entropies)


def _read(model: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return the logits [rows, longest row, V] of whole rows, padded at their ends."""
    device = next(model.parameters()).device
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.as_tensor(row)
        mask[i, : len(row)] = 1
    logits: Tensor = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    return logits


@torch.no_grad()
def plain_generate(
    model: Any, prompts: Sequence[Sequence[int]], uniforms: np.ndarray, sampling: Sampling,
    greedy: Sequence[int] = (), cached: bool = True,
) -> list[list[Completion]]:  # fmt: skip
    """Decode like `trainers.engine.rollout.generate`, with or without the model's own cache."""
    device = next(model.parameters()).device
    num_samples = uniforms.shape[1]
    rows = [list(prompt) for prompt in prompts for _ in range(num_samples)]
    reader = _CachedRows(model, rows) if cached else _WholeRows(model, rows)
    uniform_nL = torch.from_numpy(uniforms).flatten(0, 1).to(device)
    is_greedy = torch.zeros(len(prompts), num_samples, dtype=torch.bool, device=device)
    is_greedy[:, list(greedy)] = True
    eos = torch.tensor(sorted(sampling.eos_token_ids), device=device)
    alive = torch.ones(len(rows), dtype=torch.bool, device=device)
    tokens: list[list[int]] = [[] for _ in rows]
    logprobs: list[list[float]] = [[] for _ in rows]
    for position in range(sampling.max_new_tokens):
        token_n, logprob_n = pick(
            reader.logits(), uniform_nL[:, position], is_greedy.flatten() if greedy else None,
            sampling.temperature, sampling.top_p,
        )  # fmt: skip
        for i in alive.nonzero()[:, 0].tolist():
            tokens[i].append(int(token_n[i]))
            logprobs[i].append(float(logprob_n[i]))
        alive = alive & ~torch.isin(token_n, eos)
        if not bool(alive.any()):
            break
        reader.append(token_n)
    flat = [
        Completion(t, p, t[-1] not in sampling.eos_token_ids)
        for t, p in zip(tokens, logprobs, strict=True)
    ]
    return [flat[i : i + num_samples] for i in range(0, len(flat), num_samples)]


class _CachedRows:
    """Rows padded on the left, of which the model remembers what it has read."""

    def __init__(self, model: Any, rows: Sequence[Sequence[int]]) -> None:
        device = next(model.parameters()).device
        width = max(map(len, rows))
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :] = torch.as_tensor(row)
            mask[i, width - len(row) :] = 1
        self.model = model
        self.cache: Any = None
        self.ids, self.mask = ids.to(device), mask.to(device)
        self.positions = self.mask.cumsum(-1) - 1

    def logits(self) -> Tensor:
        """Read what is new; return the logits [n, V] of each row's next token."""
        out = self.model(
            input_ids=self.ids, attention_mask=self.mask, position_ids=self.positions.clamp(min=0),
            past_key_values=self.cache, use_cache=True,
        )  # fmt: skip
        self.cache = getattr(out, "past_key_values", None)
        if self.cache is None:
            raise ValueError("the model has no past_key_values")
        logits: Tensor = out.logits[:, -1]
        return logits

    def append(self, token_n: Tensor) -> None:
        """Add a token to each row."""
        self.ids = token_n[:, None]
        self.mask = torch.cat((self.mask, torch.ones_like(self.ids)), dim=1)
        self.positions = self.mask.sum(-1, keepdim=True) - 1


class _WholeRows:
    """Rows that are read anew for each token."""

    def __init__(self, model: Any, rows: list[list[int]]) -> None:
        self.model, self.rows = model, rows

    def logits(self) -> Tensor:
        """Read the rows; return the logits [n, V] of each row's next token."""
        logits = _read(self.model, self.rows)
        ends = torch.tensor([len(row) - 1 for row in self.rows], device=logits.device)
        return logits[torch.arange(len(ends), device=logits.device), ends]

    def append(self, token_n: Tensor) -> None:
        """Add a token to each row."""
        for row, token in zip(self.rows, token_n.tolist(), strict=True):
            row.append(token)
