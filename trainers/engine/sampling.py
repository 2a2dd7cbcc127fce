"""Sampling noise that belongs to a place, not to a moment.

The uniform number that picks a token is a function of (seed, step, prompt, sample, position), so
that a completion does not depend on which others share its batch, on the order in which they
finish, or on the number of workers.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BELOW_ONE = 1 - 2**-24
"""The largest float32 below 1; its product with any sum stays below the sum."""


def uniforms(
    seed: int, step: int, prompt_ids: Sequence[str], num_samples: int, length: int,
    first_samples: Sequence[int] | None = None,
) -> np.ndarray:  # fmt: skip
    """Return uniform numbers in [0, 1), float64, [prompts, num_samples, length].

    `first_samples` numbers the first sample of each prompt; 0 by default.
    """
    words = bytearray()
    for prompt_id, first in zip(prompt_ids, first_samples or [0] * len(prompt_ids), strict=True):
        prompt = hashlib.sha256(f"{seed}|{step}|{prompt_id}".encode())
        for sample in range(first, first + num_samples):
            key = prompt.copy()
            key.update(b"|%d" % sample)
            words += hashlib.shake_128(key.digest()).digest(8 * length)
    bits = np.frombuffer(bytes(words), dtype="<u8") >> np.uint64(11)
    return (bits * 2.0**-53).reshape(len(prompt_ids), num_samples, length)


def number_samples(
    prompt_ids: Sequence[str], num_samples: int, drawn: Counter[str] | None = None
) -> list[int]:
    """Return the number of each visit's first sample: a prompt that comes again goes on counting.

    Equal numbers would be equal noise, and the same completions once more. `drawn` holds how many
    samples of each prompt were drawn before, and is brought up to date.
    """
    drawn = Counter() if drawn is None else drawn
    first_samples = []
    for prompt_id in prompt_ids:
        first_samples.append(drawn[prompt_id])
        drawn[prompt_id] += num_samples
    return first_samples


def pick(
    logits_nV: Tensor, uniform_n: Tensor, greedy_n: Tensor | None, temperature: float, top_p: float
) -> tuple[Tensor, Tensor]:
    """Pick a token for each row by inverting its distribution; return tokens and log-probabilities.

    Log-probabilities are of the tempered distribution before `top_p` cuts it. Rows of `greedy_n`
    take the most likely token.
    """
    log_p_nV = (logits_nV.float() / temperature).log_softmax(-1)
    p_nV = log_p_nV.exp()
    if top_p < 1.0:
        p_nV = _nucleus(p_nV, top_p)
    cumulative_nV = p_nV.cumsum(-1)
    # A goal of the whole sum, as rounding makes of numbers near 1, would pick an impossible token.
    uniform_n1 = uniform_n[:, None].float().clamp(max=BELOW_ONE)
    goal_n1 = uniform_n1 * cumulative_nV[:, -1:]
    token_n = torch.searchsorted(cumulative_nV, goal_n1, right=True)[:, 0]
    token_n = token_n.clamp_(max=logits_nV.shape[1] - 1)  # where logits are not numbers
    if greedy_n is not None:
        token_n = torch.where(greedy_n, log_p_nV.argmax(-1), token_n)
    return token_n, log_p_nV.gather(1, token_n[:, None])[:, 0]


def _nucleus(p_nV: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of most likely tokens whose probability reaches `top_p`."""
    ranked, order = p_nV.sort(-1, descending=True)
    before = ranked.cumsum(-1) - ranked
    return torch.zeros_like(p_nV).scatter_(1, order, ranked.masked_fill(before >= top_p, 0.0))
