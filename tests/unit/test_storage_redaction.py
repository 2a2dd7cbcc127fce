"""Secrets and presigned URLs do not come through what is logged or shown."""

import io
import logging
from collections.abc import Iterator

import pytest

from orchestrator.cli import _tell
from orchestrator.storage.redaction import hide, redact, redact_logs

URL = (
    "https://host/bucket/key.json?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAX%2F2026"
    "&X-Amz-Date=20261101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=abcdef0123456789"
)
SECRET = "s3cr3t/with+odd=letters"


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    hide([SECRET])
    redact_logs()
    redact_logs()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"got {URL}, done", "got https://host/bucket/key.json?[redacted] done"),
        (f"'{URL}'", "'https://host/bucket/key.json?[redacted]'"),
        ("http://h/k?AWSAccessKeyId=A&Expires=1&Signature=x", "http://h/k?[redacted]"),
        (f"key {SECRET}.", "key [redacted]."),
        ("?t=s3cr3t%2Fwith%2Bodd%3Dletters", "?t=[redacted]"),
        ("Signature:\nabcdef", "Signature:\n[redacted]"),
        ("Credential=AKIA/2026, Signature=ab", "Credential=[redacted], Signature=[redacted]"),
        ("https://host/k?a=1&b=2", "https://host/k?a=1&b=2"),
    ],
)
def test_what_is_secret_is_taken_out(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


def test_short_words_are_not_taken_for_secrets() -> None:
    hide(["test", ""])
    assert redact("a test") == "a test"


def test_every_logger_and_handler_is_covered() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("some.library")
    logger.addHandler(handler)
    try:
        logger.warning("sent %s with %r", URL, {"key": SECRET})
        logger.warning("%d", SECRET)
        try:
            raise OSError(f"no answer from {URL}")
        except OSError:
            logger.exception("failed")
        logger.warning("%d rows", 3)
    finally:
        logger.removeHandler(handler)
    shown = stream.getvalue()
    assert "X-Amz-Signature" not in shown and SECRET not in shown
    assert "Traceback" in shown and "no answer from https://host/bucket/key.json?[re" in shown
    assert "3 rows" in shown


@pytest.mark.parametrize("debug", [False, True])
def test_what_the_command_tells_is_redacted(
    debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _tell(ValueError(f"{URL} {SECRET}"), 2, debug) == 2
    told = capsys.readouterr().err
    assert SECRET not in told and "X-Amz" not in told
    assert "https://host/bucket/key.json?[redacted]" in told
