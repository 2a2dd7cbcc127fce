"""The state that a stage resumes from, and the model that it leaves.

`root/step-000200/` holds tensors.safetensors, state.json and manifest.json; `root/latest` names
the newest whole one and is moved last. A loader that finds changed bytes falls back to an older
state. No pickle anywhere.
"""

import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.folders import (
    remove_folder,
    remove_leftovers,
    save_folder,
    verify_folder,
    write_text,
)
from trainers.models.hf import quiet_transformers

POINTER = "latest"
TENSORS = "tensors.safetensors"
STATE = "state.json"
STEP_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True, slots=True)
class LoadedState:
    """A verified state, its tensors on the CPU."""

    step: int
    path: Path
    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]
    skipped: tuple[str, ...]
    """One line for each newer state that could not be used, naming the bad file."""


def save_state(
    root: Path, step: int, tensors: Mapping[str, torch.Tensor], state: dict[str, Any], keep: int
) -> Path:
    """Save one state atomically, move the pointer to it, then remove all but the last `keep`.

    `state` is JSON: the counters, the data cursor, the offsets of the journals, and what
    `capture_random_state` gave on each rank. Journals must be synced before. Tensors that share
    their memory (tied weights) are stored once. Only rank 0 saves. Raises SaveError where the
    disk is full; the previous state then still loads.
    """
    if keep < 1:
        raise ValueError(f"save_total_limit {keep} would keep no state: use 1 or more")
    stored, aliases = _split_aliases(tensors)
    content = json.dumps({"step": step, "aliases": aliases, "state": state})

    def write(folder: Path) -> None:
        save_file(stored, folder / TENSORS)
        (folder / STATE).write_text(content, encoding="utf-8")

    if root.is_dir():
        remove_leftovers(root)
    target = root / f"step-{step:06d}"
    save_folder(target, write, {"step": step})
    write_text(root / POINTER, target.name + "\n")
    _prune(root, step, keep)
    return target


def load_state(
    root: Path,
    check: Callable[[dict[str, Any]], None] = lambda state: None,
    tell: Callable[[str], None] = warnings.warn,
) -> LoadedState | None:
    """Load the state that `latest` names, or the newest older one whose bytes are right.

    `check` raises ValueError for a state that cannot be gone on from. `tell` gets one line for
    each state that is skipped, naming the bad file; returns None where no state is left.
    """
    skipped: list[str] = []
    for step, path in _candidates(root):
        try:
            verify_folder(path)
            content = json.loads((path / STATE).read_bytes())
            check(content["state"])
        except ValueError as error:
            skipped.append(str(error))
            tell(f"saved state of step {step} is skipped: {error}")
            continue
        tensors = load_file(path / TENSORS)
        for alias, name in content["aliases"].items():
            tensors[alias] = tensors[name]
        return LoadedState(step, path, tensors, content["state"], tuple(skipped))
    return None


def export_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    target: Path,
    card: str,
    meta: dict[str, Any],
) -> None:
    """Publish a model folder in Hugging Face format, that `from_pretrained` loads, atomically.

    It holds safetensors, tokenizer, configs, `card` as README.md, and a manifest with `meta`.
    Raises SaveError where the disk is full; an older folder at `target` then stays.
    """

    def write(folder: Path) -> None:
        with quiet_transformers():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")

    save_folder(target, write, meta)


def _split_aliases(
    tensors: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors to store, each alone in its memory, and the names of equal ones."""
    stored: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    names: dict[tuple[Any, ...], str] = {}
    storages: set[int] = set()
    for name, live in tensors.items():
        tensor = live.detach()
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in names:
            aliases[name] = names[place]
            continue
        names[place] = name
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.numel() * tensor.element_size()
        alone = storage.data_ptr() not in storages
        storages.add(storage.data_ptr())
        stored[name] = (tensor if whole and alone else tensor.clone()).contiguous()
    return stored, aliases


def _candidates(root: Path) -> list[tuple[int, Path]]:
    """List the states: the one that `latest` names, older ones, and last those after it."""
    states = _states(root)
    try:
        named = STEP_NAME.fullmatch((root / POINTER).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        named = None
    latest = int(named[1]) if named else None
    newest_first = sorted(states.items(), reverse=True)
    if latest is None:
        return newest_first
    if latest not in states:
        states[latest] = root / f"step-{latest:06d}"
        newest_first = sorted(states.items(), reverse=True)
    return sorted(newest_first, key=lambda entry: entry[0] > latest)


def _states(root: Path) -> dict[int, Path]:
    if not root.is_dir():
        return {}
    found = ((STEP_NAME.fullmatch(path.name), path) for path in root.iterdir())
    return {int(match[1]): path for match, path in found if match}


def _prune(root: Path, step: int, keep: int) -> None:
    """Remove older states beyond `keep`, and those after `step`, which a restart left behind."""
    states = _states(root)
    kept = sorted(known for known in states if known <= step)[-keep:]
    for known, path in states.items():
        if known not in kept:
            remove_folder(path)
