"""Secrets and presigned URLs do not come through what is logged or shown."""

import base64
import html
import io
import json
import logging
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from orchestrator.cli import _tell, run_command
from orchestrator.storage.redaction import hide, redact, redact_logs

URL = (
    "https://host/bucket/key.json?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAX%2F2026"
    "&X-Amz-Date=20261101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=abcdef0123456789"
)
SECRET = "s3cr3t/with+odd=letters"
ODD = "pass word/+=&<'\"\\é😀\n%2f"


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


def _base64(text: str, before: str = "") -> str:
    return base64.b64encode((before + text).encode()).decode()


FORMS = {
    "itself": str,
    "quoted": lambda text: quote(text, safe=""),
    "quoted but for slashes": quote,
    "quoted for a form": quote_plus,
    "quoted in lower case": lambda text: re.sub("%..", lambda m: m[0].lower(), quote(text)),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON of JSON": lambda text: json.dumps(json.dumps([text])),
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "HTML": html.escape,
    "HTML but for quotes": lambda text: html.escape(text, quote=False),
    "HTML of JSON": lambda text: html.escape(json.dumps(text)),
    "XML": lambda text: "".join(f"&#{ord(c)};" if not c.isalnum() else c for c in text),
    "base64": _base64,
    "base64 after one": lambda text: _base64(text, ":"),
    "base64 after two": lambda text: _base64(text, "a:"),
    "base64 of a URL": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, ODD, "only-letters", "ÿ>>>???~~~"])
def test_a_secret_is_taken_out_however_it_is_quoted(form: str, secret: str) -> None:
    hide([secret])
    shown = redact(f"at <{FORMS[form](secret)}> it failed")
    assert "[redacted]" in shown and shown.startswith("at <") and shown.endswith("> it failed")
    assert len(shown) <= len("at <> it failed") + len("[redacted]") + 16
    assert not any(part in shown for part in (secret[:5], secret[-5:], _base64(secret)[2:10]))


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


def test_a_command_shows_no_secret_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef")
    assert run_command(["run", "no/hf_0123456789abcdef.yaml"]) == 2
    assert "no/[redacted].yaml" in capsys.readouterr().err


@pytest.mark.parametrize("debug", [False, True])
def test_what_the_command_tells_is_redacted(
    debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _tell(ValueError(f"{URL} {SECRET}"), 2, debug) == 2
    told = capsys.readouterr().err
    assert SECRET not in told and "X-Amz" not in told
    assert "https://host/bucket/key.json?[redacted]" in told
