"""What an answer is worth: parse, verify, score. Standard library only.

    from reward_fns import abd_reward_fn, sat_reward_fn

    GRPOTrainer(model, [sat_reward_fn, abd_reward_fn], train_dataset=dataset)

Reward functions follow TRL's protocol: `reward_fn(prompts, completions, **columns)`, each a list
with one entry for each completion, which is a string or a list of chat messages. The columns `task`
and `env` are read. They return a float for each completion, or None where a row belongs to another
task or the sandbox failed. What is imported here is loaded when it is first used.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward_fns.abd import abd_affine_reward_fn, abd_reward_fn
    from reward_fns.sandbox import Sandbox
    from reward_fns.sat import sat_affine_reward_fn, sat_fraction_reward_fn, sat_reward_fn

__all__ = [
    "Sandbox",
    "abd_affine_reward_fn",
    "abd_reward_fn",
    "sat_affine_reward_fn",
    "sat_fraction_reward_fn",
    "sat_reward_fn",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "sandbox" if name == "Sandbox" else name.partition("_")[0]
    return resolve_name(f"{__name__}.{module}:{name}")
