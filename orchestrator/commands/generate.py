"""`clutch generate CHECKPOINT --prompt TEXT`: what a model answers."""

import json as json_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, PositiveInt

from orchestrator.quiet import prepare_environment
from trainers.config import resolve_checkpoint


def generate(
    checkpoint: Path,
    /,
    *,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
    num_samples: PositiveInt = 1,
    temperature: NonNegativeFloat = 0.0,
    top_p: float = 1.0,
    max_completion_length: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
    no_chat_template: bool = False,
    json: bool = False,
) -> None:
    """Complete a prompt with a checkpoint.

    Parameters
    ----------
    checkpoint
        A model folder that from_pretrained can load.
    prompt
        The text to complete.
    num_samples
        How many completions.
    temperature
        0 takes the likeliest token each time.
    top_p
        Sample from the smallest set of tokens with this probability.
    max_completion_length
        Tokens after which a completion is cut; 256, or what the model's context leaves, by default.
    seed
        Key of the sampling noise: the same seed gives the same text.
    no_chat_template
        Give the prompt to the model as it is, though its tokenizer has a chat template.
    json
        Print one JSON list.
    """
    if not 0 < top_p <= 1:
        raise ValueError(f"--top-p is {top_p}: must be above 0 and at most 1")
    if temperature == 0 and num_samples > 1:
        raise ValueError(
            f"--num-samples is {num_samples}, but at temperature 0 all are the same: "
            "set --temperature"
        )
    resolve_checkpoint(checkpoint)
    prepare_environment()
    # Loaded by name only now, because torch takes seconds and a wrong argument none.
    texts = resolve_name("trainers.generate:generate_text")(
        checkpoint,
        prompt,
        num_samples=num_samples,
        temperature=temperature,
        top_p=top_p,
        max_completion_length=max_completion_length,
        seed=seed,
        chat_template=not no_chat_template,
    )
    print(json_module.dumps(texts, ensure_ascii=False) if json else "\n".join(texts))
