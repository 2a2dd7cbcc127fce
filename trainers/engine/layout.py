"""Where each token of a batch of groups stands: packed for dense layers, padded for attention.

A group is one prompt and its completions. Packed order: the tokens of all prompts, then of all
completions, each completion without its last token, which is predicted but predicts nothing.

Shapes: B groups, P longest prompt, T longest completion
fed, N packed tokens, M predicted tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.engine.kernels import round_up

Tokens = Sequence[int]


@dataclass(frozen=True)
class Slots:
    """Places of packed tokens in a padded rectangle [rows, width], flattened."""

    rows: int
    width: int
    places: Tensor | None
    """Flat place of each packed token; None when the rectangle is full."""

    def pad(self, packed: Tensor) -> Tensor:
        """Lay out packed [n, ...] as [rows, width, ...], zeros where nothing stands."""
        if self.places is not None:
            full = packed.new_zeros(self.rows * self.width, *packed.shape[1:])
            packed = full.index_copy(0, self.places, packed)
        return packed.unflatten(0, (self.rows, self.width))

    def unpad(self, padded: Tensor) -> Tensor:
        """Undo `pad`: [rows, width, ...] to packed [n, ...]."""
        flat = padded.flatten(0, 1)
        return flat if self.places is None else flat.index_select(0, self.places)


@dataclass(frozen=True)
class Layout:
    """Token ids, positions and places of one batch of groups, on one device."""

    num_groups: int
    token_ids_N: Tensor
    """Rounded up with filler tokens, so that few sizes of matrix products occur."""
    positions_N: Tensor
    num_prompt_tokens: int
    num_completion_tokens: int
    prompts: Slots
    completions: Slots
    """One row for each completion."""
    by_group: Slots
    """The same tokens, one row for each group."""
    prompt_lengths_B: Tensor
    asking_A: Tensor
    """Packed indices of the tokens that predict: [last prompt tokens | completion tokens | filler].
    """
    targets_M: Tensor
    """Predicted tokens: every completion token, completion after completion."""
    sources_M: Tensor
    """Which of `asking_A` predicts each target."""
    lengths: np.ndarray
    """Tokens of each completion, in order of groups and rows."""

    @property
    def ragged_prompts(self) -> bool:
        """Whether prompts differ in length, so that padded keys must be masked."""
        return self.prompts.places is not None


def lay_out(
    prompts: Sequence[Tokens],
    completions: Sequence[Sequence[Tokens]],
    device: torch.device | str = "cpu",
) -> Layout:
    """Place `prompts` (B) and their `completions` (B lists of non-empty token lists).

    Raises ValueError for an empty prompt, group or completion.
    """
    prompt_len = np.array([len(p) for p in prompts], dtype=np.int64)
    rows = np.array([len(group) for group in completions], dtype=np.int64)
    flat = [c for group in completions for c in group]
    lengths = np.array([len(c) for c in flat], dtype=np.int64)
    if not len(prompt_len) or prompt_len.min() < 1 or rows.min() < 1 or lengths.min() < 1:
        raise ValueError("lay_out takes at least one group; prompts and completions are not empty")
    fed = lengths - 1
    group_of_row = np.repeat(np.arange(len(rows)), rows)
    at_prompt, at_fed = _ramp(prompt_len), _ramp(fed)
    group_fed = np.bincount(group_of_row, weights=fed).astype(np.int64)
    tokens = [t for p in prompts for t in p] + [t for c in flat for t in c[:-1]]
    positions = np.concatenate([at_prompt, at_fed + np.repeat(prompt_len[group_of_row], fed)])
    num_prompt_tokens = int(prompt_len.sum())
    asking = np.concatenate([np.cumsum(prompt_len) - 1, np.arange(num_prompt_tokens, len(tokens))])

    def put(values: np.ndarray | list[int]) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64)).to(device)

    return Layout(
        num_groups=len(prompts),
        token_ids_N=put(_fill(np.array(tokens))),
        positions_N=put(_fill(positions)),
        num_prompt_tokens=num_prompt_tokens,
        num_completion_tokens=int(fed.sum()),
        prompts=_slots(np.arange(len(prompts)), prompt_len, at_prompt, len(prompts), put),
        completions=_slots(np.arange(len(flat)), fed, at_fed, len(flat), put),
        by_group=_slots(np.arange(len(prompts)), group_fed, _ramp(group_fed), len(prompts), put),
        prompt_lengths_B=put(prompt_len),
        asking_A=put(_fill(asking)),
        targets_M=put([t for c in flat for t in c]),
        sources_M=put(_sources(group_of_row, lengths, fed, len(prompts))),
        lengths=lengths,
    )


def _fill(values: np.ndarray) -> np.ndarray:
    """Append zeros up to a rounded length."""
    return np.pad(values, (0, round_up(len(values)) - len(values)))


def _ramp(lengths: np.ndarray) -> np.ndarray:
    """Count 0, 1, … within each run of `lengths`."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _slots(row: np.ndarray, lengths: np.ndarray, ramp: np.ndarray, rows: int, put) -> Slots:  # type: ignore[no-untyped-def]
    width = int(lengths.max())
    full = len(lengths) == rows and bool((lengths == width).all())
    places = None if full else put(np.repeat(row, lengths) * width + ramp)
    return Slots(rows, width, places)


def _sources(
    group_of_row: np.ndarray, lengths: np.ndarray, fed: np.ndarray, num_groups: int
) -> np.ndarray:
    ramp = _ramp(lengths)
    fed_start = np.repeat(np.cumsum(fed) - fed, lengths)
    return np.where(ramp == 0, np.repeat(group_of_row, lengths), num_groups + fed_start + ramp - 1)
