"""Asking a language model over real HTTP: repetitions, failures, the budget and the journal."""

import datetime
import gzip
import json
import socket
import time
from collections.abc import Callable
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from datagen.proposal_config import ProposalsConfig
from datagen.replies import Question, Reply
from orchestrator.exchange import MAX_BODY_BYTES, retry_after_s
from orchestrator.failures import is_user_mistake
from orchestrator.responder import ChatResponder, open_responder
from tests.chat_server import KEY, Answer, Call, ChatServer, Script, chat_server, refused, said

QUESTIONS = [Question(f"question {i}") for i in range(12)]
Ask = Callable[..., list[Reply]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("CHUTES_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")  # the server is on the loopback


def config(server: ChatServer | str, **changes: Any) -> ProposalsConfig:
    url = server if isinstance(server, str) else server.base_url
    fast = {"retry_wait_s": 0.01, "timeout_s": 5.0, "max_retries": 3}
    return ProposalsConfig(base_url=url, model="m", **(fast | changes))


def ask(
    script: Script, tmp_path: Path, questions: list[Question] = QUESTIONS[:1], **changes: Any
) -> tuple[list[Reply], ChatServer]:
    """The replies to questions, and the server as it was left."""
    with chat_server(script) as server:
        with open_responder(config(server, **changes), tmp_path / "a.replies.jsonl") as responder:
            replies = responder.ask(questions)
        return replies, server


def first(answer: Answer, then: Answer) -> Script:
    """A script that answers each question once thus, and so from then on."""
    return lambda call: answer if call.repetition == 0 else then


def echo(call: Call) -> Answer:
    return said(f"re: {call.prompt}")


def test_a_question_is_sent_as_a_chat_and_its_reply_comes_back(tmp_path: Path) -> None:
    replies, server = ask(echo, tmp_path, max_tokens=77, temperature=0.5)
    assert replies == [Reply("re: question 0")]
    (call,) = server.calls
    assert call.path == "/v1/chat/completions"
    assert call.authorization == f"Bearer {KEY}"
    assert call.payload == {
        "model": "m",
        "messages": [{"role": "user", "content": "question 0"}],
        "max_tokens": 77,
        "temperature": 0.5,
    }


def test_a_temperature_of_null_is_not_sent(tmp_path: Path) -> None:
    _, server = ask(echo, tmp_path, temperature=None)
    assert "temperature" not in server.calls[0].payload


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_a_busy_or_failing_service_is_asked_again(status: int, tmp_path: Path) -> None:
    replies, server = ask(first(refused(status), said("ok")), tmp_path)
    assert replies == [Reply("ok")]
    assert len(server.calls) == 2


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    _, server = ask(first(refused(429, retry_after="1"), said("ok")), tmp_path)
    assert 0.99 <= server.calls[1].at - server.calls[0].at < 3


def test_waits_grow_without_retry_after(tmp_path: Path) -> None:
    replies, server = ask(lambda call: refused(500), tmp_path, retry_wait_s=0.1)
    assert replies == [Reply(None, "http_error")]
    times = [call.at for call in server.calls]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 3
    assert waits[0] >= 0.1 and waits[1] >= 0.2 and waits[2] >= 0.4


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("2", 2, 2), ("0", 0, 0), ("86400", 60, 60), ("9" * 400, 60, 60), ("-5", None, None),
     ("soon", None, None), ("²", None, None), ("nan", None, None), ("Thu, 99 Nov", None, None)],
)  # fmt: skip
def test_retry_after_is_bounded(text: str, low: float | None, high: float | None) -> None:
    wait_s = retry_after_s({"retry-after": text})
    assert wait_s is low is None or low <= wait_s <= high


def test_retry_after_may_be_a_date() -> None:
    now = datetime.datetime.now(datetime.UTC)
    soon = format_datetime(now + datetime.timedelta(seconds=20), usegmt=True)
    assert 15 <= retry_after_s({"retry-after": soon}) <= 20
    past = format_datetime(now - datetime.timedelta(days=1), usegmt=True)
    assert retry_after_s({"retry-after": past}) == 0
    assert retry_after_s({}) is None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_refused_is_not_asked_again(status: int, tmp_path: Path) -> None:
    replies, server = ask(lambda call: refused(status), tmp_path)
    assert replies == [Reply(None, "http_error")]
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [Answer(b"<html>a portal</html>"), Answer(b'{"choices": [{"mess'), Answer(b""),
     Answer(b'{"choices": []}'), Answer(b'{"choices": [{"message": {}}]}'), Answer(b"[]"),
     Answer(b'{"choices": {"0": 1}}'), Answer(b'{"choices": [{"message": "hi"}]}'),
     Answer(b"[" * 100_000), Answer(b'{"a":' * 100_000), Answer(b"\xff\xfe{}"), Answer(b"null")],
)  # fmt: skip
def test_an_answer_that_is_no_completion_is_malformed(answer: Answer, tmp_path: Path) -> None:
    replies, server = ask(lambda call: answer, tmp_path)
    assert replies == [Reply(None, "malformed")]
    assert len(server.calls) == 1


def test_a_model_that_only_thought_has_said_nothing(tmp_path: Path) -> None:
    assert ask(lambda call: said(None), tmp_path)[0] == [Reply("")]


def test_an_answer_of_megabytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    replies, _ = ask(lambda call: said("x" * 8 * MAX_BODY_BYTES), tmp_path)
    assert replies == [Reply(None, "too_long")]


def test_a_service_that_does_not_answer_meets_the_deadline(tmp_path: Path) -> None:
    start = time.monotonic()
    slow = first(Answer(delay_s=1.5), said("ok"))
    assert ask(slow, tmp_path, timeout_s=0.3)[0] == [Reply("ok")]
    assert time.monotonic() - start < 3


def test_a_service_that_drips_bytes_meets_the_deadline(tmp_path: Path) -> None:
    dripping = Answer(b"x" * 40, drip_s=0.05)
    replies, server = ask(lambda call: dripping, tmp_path, timeout_s=0.3, max_retries=1)
    assert replies == [Reply(None, "timeout")]
    assert len(server.calls) == 2


def test_a_connection_that_is_cut_is_made_again(tmp_path: Path) -> None:
    cut = Answer(said("a whole reply").body, cut=20)
    assert ask(first(cut, said("ok")), tmp_path)[0] == [Reply("ok")]


def test_a_compressed_bomb_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    bomb = Answer(gzip.compress(b"0" * 200 * 2**20, 9), headers={"Content-Encoding": "gzip"})
    assert ask(lambda call: bomb, tmp_path)[0] == [Reply(None, "too_long")]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_all_at_once(status: int, tmp_path: Path) -> None:
    def script(call: Call) -> Answer:
        return refused(status, f"Incorrect API key provided: {call.authorization}")

    with chat_server(script) as server:
        path = tmp_path / "a.replies.jsonl"
        with (
            pytest.raises(ValueError, match="OPENAI_API_KEY") as caught,
            open_responder(config(server, concurrency=2), path) as responder,
        ):
            responder.ask(QUESTIONS)
        assert len(server.calls) <= 2
    assert is_user_mistake(caught.value)
    assert KEY not in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [301, 307, 404, 405])
def test_a_wrong_address_or_model_ends_all_at_once(status: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"check base_url and model 'm'") as caught:
        ask(lambda call: refused(status, "The model `m` does not exist"), tmp_path, QUESTIONS)
    assert "does not exist" in str(caught.value)


def test_a_redirect_is_not_followed_with_the_key(tmp_path: Path) -> None:
    with chat_server(echo) as other:
        where = f"{other.base_url}/chat/completions"
        with pytest.raises(ValueError, match="HTTP 307"):
            ask(lambda call: Answer(status=307, headers={"Location": where}), tmp_path)
        assert other.calls == []


def test_a_service_that_is_not_there_ends_all_with_its_address(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    path = tmp_path / "a.replies.jsonl"
    with (
        pytest.raises(ValueError, match=f"cannot reach {url}: .*: check base_url"),
        open_responder(config(url, max_retries=1), path) as responder,
    ):
        responder.ask(QUESTIONS)


def test_what_a_failing_service_says_is_shown_short_and_without_the_key(tmp_path: Path) -> None:
    message = f"\x1b[31m{KEY}\x00<script>alert(1)</script>\n" + "boo " * 100_000
    with pytest.raises(ValueError) as caught:
        ask(lambda call: refused(400, message), tmp_path, QUESTIONS)
    shown = str(caught.value)
    assert "[redacted] <script>" in shown
    assert KEY not in shown and shown.isprintable() and len(shown) < 600


def test_single_failures_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    def script(call: Call) -> Answer:
        return refused(500) if call.prompt in ("question 3", "question 7") else echo(call)

    replies, _ = ask(script, tmp_path, QUESTIONS, max_retries=1)
    failed = [i for i, reply in enumerate(replies) if reply.failure == "http_error"]
    assert failed == [3, 7]
    assert replies[5] == Reply("re: question 5")


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_than_concurrency_are_sent_at_a_time(concurrency: int, tmp_path: Path) -> None:
    def script(call: Call) -> Answer:
        return Answer(echo(call).body, delay_s=0.05)

    replies, server = ask(script, tmp_path, QUESTIONS, concurrency=concurrency)
    assert server.most_at_a_time == concurrency
    assert replies == [Reply(f"re: question {i}") for i in range(12)]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_budget_holds(concurrency: int, tmp_path: Path) -> None:
    replies, server = ask(echo, tmp_path, QUESTIONS, concurrency=concurrency, max_calls=5)
    assert len(server.calls) == 5
    assert [reply.failure for reply in replies] == [None] * 5 + ["budget_spent"] * 7


def test_repetitions_count_against_the_budget(tmp_path: Path) -> None:
    replies, server = ask(lambda call: refused(500), tmp_path, QUESTIONS, max_calls=6)
    assert len(server.calls) == 6
    assert replies[-1] == Reply(None, "budget_spent")


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    before, _ = ask(echo, tmp_path, QUESTIONS, max_calls=5)
    after, server = ask(lambda call: said("other"), tmp_path, QUESTIONS)
    assert after[:5] == before[:5]
    assert after[5:] == [Reply("other")] * 7
    assert len(server.calls) == 7


@pytest.mark.parametrize(
    "changes", [{"model": "n"}, {"temperature": 0.1}, {"max_tokens": 5}, {"temperature": None}]
)
def test_another_model_or_sampling_is_asked_anew(changes: Any, tmp_path: Path) -> None:
    ask(echo, tmp_path)
    with chat_server(echo) as server:
        asked = config(server).model_copy(update=changes)
        with open_responder(asked, tmp_path / "a.replies.jsonl") as responder:
            responder.ask(QUESTIONS[:1])
        assert len(server.calls) == 1


def test_attempts_are_asked_apart_and_equal_questions_once(tmp_path: Path) -> None:
    twice = [Question("a"), Question("a", 1), Question("a"), Question("a", 1)]
    replies, server = ask(lambda call: said(str(call.repetition)), tmp_path, twice, concurrency=1)
    assert [reply.text for reply in replies] == ["0", "1", "0", "1"]
    assert len(server.calls) == 2


def test_failures_are_kept_only_of_a_service_that_works(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in a row"):
        ask(lambda call: refused(400), tmp_path, QUESTIONS)
    assert list(tmp_path.iterdir()) == []
    odd = [Question("odd"), *QUESTIONS]
    before, _ = ask(lambda c: refused(400) if c.prompt == "odd" else echo(c), tmp_path, odd)
    after, server = ask(echo, tmp_path, odd)
    assert after == before and after[0] == Reply(None, "http_error")
    assert server.calls == []


def test_replies_hash_alike_however_they_came(tmp_path: Path) -> None:
    def script(call: Call) -> Answer:
        number = int(call.prompt.split()[1])
        return Answer(echo(call).body, delay_s=0.02 * (5 - number % 5))

    hashes = set()
    with chat_server(script) as server:
        for concurrency in (1, 8):
            path = tmp_path / f"{concurrency}.jsonl"
            for _ in range(2):  # over HTTP, and from the journal
                asked = config(server, concurrency=concurrency)
                with open_responder(asked, path) as responder:
                    responder.ask(QUESTIONS[:7])
                    responder.ask(QUESTIONS[7:])
                hashes.add(responder.sha256)
    assert len(hashes) == 1


def test_the_key_is_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    failing = first(refused(429, KEY), said("ok"))
    path = tmp_path / "a.replies.jsonl"
    with chat_server(failing) as server, open_responder(config(server), path) as responder:
        responder.ask(QUESTIONS)
        shown = repr(vars(responder))
    out, err = capfd.readouterr()
    kept = path.read_text()
    assert len(kept.splitlines()) == 12
    for text in (out, err, caplog.text, kept, shown):
        assert KEY not in text


def test_a_journal_line_says_what_was_asked_of_whom(tmp_path: Path) -> None:
    _, server = ask(echo, tmp_path)
    line = json.loads((tmp_path / "a.replies.jsonl").read_text())
    assert line.pop("key") and line.pop("sha256")
    url = server.base_url
    assert line == {"base_url": url, "model": "m", "attempt": 0, "text": "re: question 0"}


def test_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    odd = Answer(json.dumps({"choices": [{"message": {"content": "\ud800\x00é"}}]}).encode())
    before, _ = ask(lambda call: odd, tmp_path)
    assert before == ask(echo, tmp_path)[0] == [Reply("\ud800\x00é")]


def test_a_responder_needs_no_event_loop_of_its_own(tmp_path: Path) -> None:
    with chat_server(echo) as server, open_responder(config(server), tmp_path / "j") as responder:
        assert isinstance(responder, ChatResponder)
        for question in QUESTIONS[:3]:
            assert responder.ask([question]) == [Reply(f"re: {question.prompt}")]
        assert responder.ask([]) == []
