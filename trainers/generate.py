"""Complete one prompt with a checkpoint: what `clutch generate` prints."""

import hashlib
from pathlib import Path

import torch

from reward_fns.records import Problem
from trainers.data import decode_completions, prompts_for
from trainers.engine.rollout import Sampling
from trainers.engine.sampling import uniforms
from trainers.engine.select import make_engine
from trainers.evaluate import room_left
from trainers.models.load import load_folder
from trainers.runtime import any_device, prepare_torch

DEFAULT_LENGTH = 256
GENERATION_STEP = -2
"""Stands for the step in the key of the noise: neither training nor evaluation has this number."""


def generate_text(
    checkpoint: Path, prompt: str, *, num_samples: int = 1, temperature: float = 0.0,
    top_p: float = 1.0, max_completion_length: int | None = None, seed: int = 0,
    chat_template: bool = True,
) -> list[str]:  # fmt: skip
    """Return `num_samples` completions of `prompt`; temperature 0 takes the likeliest tokens.

    Completions have at most 256 tokens, or what the prompt leaves of the model's context, where
    `max_completion_length` does not say otherwise.

    The prompt is wrapped in the tokenizer's chat template if it has one and `chat_template` is
    set. The noise is keyed by the seed and the prompt, so that the same call gives the same text.
    Raises ValueError where the folder holds no model, the prompt has a word without a token, or
    prompt and completion do not fit the model's context.
    """
    prepare_torch(torch.get_num_threads())
    policy = load_folder(checkpoint, any_device(), chat_template)
    problem = Problem("prompt", "prompt", "", 0, prompt, "", "", "")
    limit = policy.max_length - (max_completion_length or 1)
    encoded = prompts_for(policy, [problem], limit).prompt_ids
    length = max_completion_length or min(DEFAULT_LENGTH, room_left(policy, encoded))
    key = hashlib.sha256(prompt.encode()).hexdigest()
    noise = uniforms(seed, GENERATION_STEP, [key], num_samples, length)
    sampling = Sampling(length, policy.eos_token_ids, temperature or 1.0, top_p)
    greedy = range(num_samples) if temperature == 0 else ()
    (group,) = make_engine(policy.model).generate(encoded, noise, sampling, greedy)
    return decode_completions(policy, [completion.token_ids for completion in group])
