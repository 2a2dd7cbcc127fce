"""Takes secrets and presigned URLs out of text, and out of everything that is logged.

Our own messages hold no secret; this is for what libraries log (boto at debug level logs headers,
signatures and URLs) and for tracebacks. `clutch` shows nothing that has not passed `redact`.
"""

import base64
import logging
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

SHOWN = "[redacted]"
LEAST_CHARACTERS = 6
"""Shorter values are not looked for: they would stand in ordinary words."""

_SIGNED_QUERY = re.compile(
    r"\?[^\s\"'<>]*(?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature)="
    r"[^\s\"'<>]*",
    re.IGNORECASE,
)
_SIGNED_PART = re.compile(
    r"((?:X-Amz-)?(?:Signature|Credential|Security-Token)(?:=|:\s*))[^&,\s\"']+", re.IGNORECASE
)
_secrets: set[str] = set()
_BACKSLASHES = r"\\{1,8}"
_ENTITIES = {"<": ("lt",), ">": ("gt",), "&": ("amp",), '"': ("quot",), "'": ("apos",)}


_VARIABLES = (
    *("S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN"),
    *("HUGGING_FACE_HUB_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    *("OPENAI_API_KEY", "CHUTES_API_KEY", "GRADIENTS_API_KEY"),
)


def hide_environment() -> None:
    """Redact the secrets that this process was given, ours and those of libraries."""
    hide(os.environ.get(name, "").strip() for name in _VARIABLES)


def hide(values: Iterable[str]) -> None:
    """Redact these values from now on, however they are quoted (see `without`)."""
    _secrets.update(value for value in values if len(value) >= LEAST_CHARACTERS)


def redact(text: str) -> str:
    """Return a text without presigned queries, signatures and the values that `hide` was told."""
    text = without(_secrets, text)
    text = _SIGNED_QUERY.sub(f"?{SHOWN}", text)
    return _SIGNED_PART.sub(rf"\g<1>{SHOWN}", text)


def without(values: Iterable[str], text: str) -> str:
    """Return a text without these values.

    They are found as they are, and as a URL, JSON, HTML or a repr quotes them, each character in
    its own way, also one in the other; and in base64, by itself or within more.
    """
    for value in sorted(values, key=len, reverse=True):
        text = _pattern(value).sub(SHOWN, text)
    return text


@lru_cache(maxsize=256)
def _pattern(value: str) -> re.Pattern[str]:
    quoted = "".join(map(_quoted, value))
    encoded = sorted(_base64_forms(value.encode(errors="surrogatepass")), key=len, reverse=True)
    return re.compile("|".join([quoted, *encoded]))


def _quoted(character: str) -> str:
    """A pattern of the ways in which a character is written; letters and digits are not quoted."""
    plain = re.escape(character)
    if character.isascii() and character.isalnum():
        return plain
    code, encoded = ord(character), character.encode(errors="surrogatepass")
    units = character.encode("utf-16-be", errors="surrogatepass").hex()
    forms = [
        "".join(f"%{byte:02x}" for byte in encoded),
        "".join(f"{_BACKSLASHES}x{byte:02x}" for byte in encoded),
        "".join(f"{_BACKSLASHES}u{units[place : place + 4]}" for place in range(0, len(units), 4)),
        f"{_BACKSLASHES}U{code:08x}", f"{_BACKSLASHES}x{code:02x}", f"&#0*{code};",
        f"&#x0*{code:x};",
        *(f"&{name};" for name in _ENTITIES.get(character, ())),
        *(f"{_BACKSLASHES}{short}" for control, short in zip("\n\r\t", "nrt", strict=True)
          if character == control),
    ]  # fmt: skip
    spaces = [r"\+"] if character == " " else []
    return rf"(?:\\{{0,8}}(?:{'|'.join([plain, *spaces])}|(?i:{'|'.join(forms)})))"


def _base64_forms(value: bytes) -> Iterator[str]:
    """Patterns of what stands for a value alone, at each place of a group of three bytes."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + value).decode()
        whole = text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
        last = "[A-Za-z0-9+/_-]?={0,2}" if (before + len(value)) % 3 else ""
        if len(whole) >= LEAST_CHARACTERS:
            yield re.escape(whole) + last
            yield re.escape(whole.replace("+", "-").replace("/", "_")) + last


def redact_logs() -> None:
    """Make every log record of this process pass `redact` as it is made, for all handlers."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return _redacted(make(*args, **kwargs))

    factory.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def _redacted(record: logging.LogRecord) -> logging.LogRecord:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        text = f"{record.msg} {record.args!r}"  # arguments that do not fit: shown, not lost
    if (shown := redact(text)) != text:
        record.msg, record.args = shown, ()
    if record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        if (shown := redact(text)) != text:
            record.exc_info, record.exc_text = None, shown
    return record
