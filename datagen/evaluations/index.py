"""Chooses result objects from Affine's index: those of the last blocks, the newest first."""

import re
from contextlib import closing
from dataclasses import dataclass

from datagen.evaluations.json_stream import BrokenJson, array_items
from datagen.evaluations.source import ResultSource

INDEX_KEY = "affine/index.json"
WINDOW_BLOCKS = 20
_RESULT_KEY = re.compile(r"affine/results/([0-9]{9,12})-([A-Za-z0-9]{1,64})\.json")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The keys to read, of `first_window`..`last_window`, and how many entries were no keys."""

    keys: tuple[str, ...]
    num_indexed: int
    num_strange: int
    first_window: int
    last_window: int


def choose_keys(source: ResultSource, tail: int) -> Chosen:
    """Return the keys of the last `tail` blocks, counted back from the newest window.

    As upstream does, the window in which the first of these blocks lies is read whole. Entries that
    are not the key of a result are counted, never opened. Raises ValueError where there is no
    index, it cannot be read to its end, or it names no result.
    """
    windows, strange = _read_index(source)
    if not windows:
        raise ValueError(f"{source.name}: {INDEX_KEY} names no result")
    last = max(windows.values())
    first = max(0, last - tail) // WINDOW_BLOCKS * WINDOW_BLOCKS
    keys = [key for key, window in windows.items() if window >= first]
    keys.sort(key=lambda key: (-windows[key], key))
    return Chosen(tuple(keys), len(windows), strange, first, last)


def _read_index(source: ResultSource) -> tuple[dict[str, int], int]:
    """The window of every result key of the index, and the number of other entries."""
    windows: dict[str, int] = {}
    strange = 0
    try:
        with closing(source.open(INDEX_KEY)) as stream:
            for entry in array_items(stream):
                found = _RESULT_KEY.fullmatch(entry) if isinstance(entry, str) else None
                if found:
                    windows[entry] = int(found[1])
                else:
                    strange += 1
    except FileNotFoundError as error:
        if error.errno is None:  # not of this machine: it says itself what there is not
            raise
        raise ValueError(
            f"{source.name} has no {INDEX_KEY}: name the folder or bucket that holds it"
        ) from None
    except BrokenJson as error:
        raise ValueError(f"{source.name}: {INDEX_KEY} cannot be read: {error.reason}") from None
    return windows, strange
