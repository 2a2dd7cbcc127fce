"""Takes secrets and presigned URLs out of text, and out of everything that is logged.

Our own messages hold no secret; this is for what libraries log (boto at debug level logs headers,
signatures and URLs) and for tracebacks. `clutch` shows nothing that has not passed `redact`.
"""

import logging
import re
import traceback
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

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


def hide(values: Iterable[str]) -> None:
    """Redact these values from now on, as they are and as they stand in a URL."""
    for value in values:
        if len(value) >= LEAST_CHARACTERS:
            _secrets.update((value, quote(value, safe="")))


def redact(text: str) -> str:
    """Return a text without presigned queries, signatures and the values that `hide` was told."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, SHOWN)
    text = _SIGNED_QUERY.sub(f"?{SHOWN}", text)
    return _SIGNED_PART.sub(rf"\g<1>{SHOWN}", text)


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
