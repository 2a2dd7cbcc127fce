"""Takes typed fields out of a recorded result, and says plainly which one is at fault."""

import math
from typing import Any

MAX_TEXT_CHARS = 1_000_000
"""A result with a longer text than this is not used."""


class Dropped(Exception):
    """A result that is not used; `reason` is short and the same for alike faults."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def field(item: dict[str, Any], path: str, *, optional: bool = False) -> Any:
    """Return the value at a path as `evaluation.score`; None for an optional one there is not."""
    value: Any = item
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            if optional:
                return None
            raise Dropped(f"invalid: no {path}")
        value = value[name]
    return value


def text(item: dict[str, Any], path: str) -> str:
    """Return a text that is neither blank, nor too long, nor cut in the middle of a character."""
    value = field(item, path)
    if not isinstance(value, str):
        raise Dropped(f"invalid: {path} is no text")
    if not value.strip():
        raise Dropped(f"invalid: {path} is blank")
    if len(value) > MAX_TEXT_CHARS:
        raise Dropped(f"invalid: {path} is over {MAX_TEXT_CHARS:,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Dropped(f"invalid: {path} holds half a character") from None
    return value


def number(item: dict[str, Any], path: str) -> float:
    """Return a finite number."""
    value = field(item, path)
    if type(value) not in (int, float):
        raise Dropped(f"invalid: {path} is no number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Dropped(f"invalid: {path} is not finite")
    return found


def whole_number(item: dict[str, Any], path: str) -> int:
    """Return an integer of at most 64 bits."""
    value = field(item, path)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise Dropped(f"invalid: {path} is no whole number")
    return value


def boolean(item: dict[str, Any], path: str) -> bool:
    """Return a boolean."""
    value = field(item, path)
    if not isinstance(value, bool):
        raise Dropped(f"invalid: {path} is no boolean")
    return value
