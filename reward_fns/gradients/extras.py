"""What reaches a reward function of the platform beside the completions: JSON strings."""

import json
from collections.abc import Callable
from typing import Any

from reward_fns.answers import completion_text


def rewards_of(
    task: str, judge: Callable[[str, dict[str, Any]], float], completions: Any, extra_data: Any
) -> list[float]:
    """Return a number for each completion, by `judge(text, extra)`.

    0.0 for rows of other tasks and for extras that are broken or missing: the platform takes no
    None, and a group of completions that all score the same teaches nothing.
    """
    extras = _spread(extra_data, len(completions))
    rewards = []
    for completion, written in zip(completions, extras, strict=True):
        extra = _read(written)
        if extra is None or str(extra.get("task_type")).upper() != task:
            rewards.append(0.0)
            continue
        try:
            rewards.append(judge(completion_text(completion), extra))
        except ValueError:
            rewards.append(0.0)
    return rewards


def _spread(extra_data: Any, count: int) -> list[Any]:
    """One extra for each completion; a single one is for all."""
    extras = list(extra_data) if isinstance(extra_data, list | tuple) else [extra_data]
    return extras * count if len(extras) == 1 else extras


def _read(written: Any) -> dict[str, Any] | None:
    if isinstance(written, dict):
        return written
    try:
        extra = json.loads(written)
    except (TypeError, ValueError, RecursionError):
        return None
    return extra if isinstance(extra, dict) else None
