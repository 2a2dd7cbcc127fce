"""Groups, and how many of them go through the model at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass
class Group:
    """One prompt and its completions, as token ids."""

    prompt: list[int]
    completions: list[list[int]]

    @property
    def num_tokens(self) -> int:
        """Tokens of the prompt and of all completions."""
        return len(self.prompt) + sum(map(len, self.completions))


AnyGroup = TypeVar("AnyGroup", bound=Group)


def micro_batches(groups: Sequence[AnyGroup], num_completions: int | None) -> list[list[AnyGroup]]:
    """Cut `groups` into batches of at most `num_completions`, the largest groups first.

    The largest come first so that too little memory shows in the first batch, not after an hour.
    """
    if num_completions is None:
        return [list(groups)] if groups else []
    batches: list[list[AnyGroup]] = []
    size = 0
    for group in sorted(groups, key=lambda g: -g.num_tokens):
        if not batches or size + len(group.completions) > num_completions:
            batches.append([])
            size = 0
        batches[-1].append(group)
        size += len(group.completions)
    return batches
