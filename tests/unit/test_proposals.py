"""What a language model is asked for, and what is taken from its replies."""

import pytest
from pydantic import ValidationError

from datagen.proposal_config import ProposalsConfig
from datagen.proposals import Proposal, Wish, prompt_text, propose, read_proposal
from datagen.replies import Question, Reply

WISH = Wish("n = int(input())\nprint(f'{n * 3}')\n", "5\n", "15\n")


class Script:
    """A responder that says what it is told to, and remembers what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Question] = []
        self.sha256 = ""

    def ask(self, questions: list[Question]) -> list[Reply]:
        self.asked += questions
        return self.replies


def test_the_prompt_shows_program_input_and_output() -> None:
    prompt = prompt_text(WISH)
    assert "```python\nn = int(input())\nprint(f'{n * 3}')\n```" in prompt
    assert "<INPUT>\n5\n</INPUT>" in prompt
    assert "```\n15\n```" in prompt
    assert "try" not in prompt


def test_each_attempt_has_its_own_prompt() -> None:
    prompts = {prompt_text(Wish("p", "1", "2", attempt)) for attempt in range(3)}
    assert len(prompts) == 3


def test_braces_in_a_program_are_only_text() -> None:
    assert "{output} {0} {" in prompt_text(Wish("{output} {0} {", "{example}", "{variation}"))


@pytest.mark.parametrize(
    ("text", "stdin"),
    [
        ("<INPUT>\n7\n</INPUT>", "7\n"),
        ("Sure!\n<input>7 8</INPUT> done", "7 8\n"),
        ("<INPUT>1</INPUT> or better <INPUT>\n 2\n3  \n\n</INPUT>", " 2\n3\n"),
        ("<think><INPUT>1</INPUT></think><INPUT>2</INPUT>", "2\n"),
        ("<INPUT>4</INPUT><think>hm <INPUT>3</INPUT>", "4\n"),
        ("<INPUT><script>alert(1)</script></INPUT>", "<script>alert(1)</script>\n"),
    ],
)
def test_the_last_input_outside_thoughts_is_read(text: str, stdin: str) -> None:
    assert read_proposal(Reply(text), "5\n", 100) == Proposal(stdin)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(""), "no_input"),
        (Reply("7"), "no_input"),
        (Reply("<INPUT>7"), "no_input"),
        (Reply("<INPUT>" * 50_000), "no_input"),
        (Reply("</INPUT><INPUT>"), "no_input"),
        (Reply("<INPUT>\n \n</INPUT>"), "no_input"),
        (Reply("<think><INPUT>7</INPUT>"), "no_input"),
        (Reply("<INPUT>" + "9" * 100 + "</INPUT>"), "too_long"),
        (Reply("<INPUT>" + "é" * 50 + "</INPUT>"), "too_long"),
        (Reply("<INPUT>\ud800</INPUT>"), "malformed"),
        (Reply("<INPUT>\n5  \n\n</INPUT>"), "same_input"),
        (Reply(None, "timeout"), "timeout"),
        (Reply(None, "budget_spent"), "budget_spent"),
    ],
)
def test_a_reply_without_a_new_input_says_why(reply: Reply, reason: str) -> None:
    assert read_proposal(reply, "5\n", 100) == Proposal(None, reason)


def test_proposals_come_in_the_order_of_the_wishes() -> None:
    script = Script(Reply("<INPUT>1</INPUT>"), Reply(None, "http_error"), Reply("<INPUT>5</INPUT>"))
    other = Wish("print(input())", "5", "5", attempt=2)
    proposals = propose(script, [WISH, other, WISH], max_input_bytes=10)
    assert proposals == [
        Proposal("1\n"),
        Proposal(None, "http_error"),
        Proposal(None, "same_input"),
    ]
    assert [question.attempt for question in script.asked] == [0, 2, 0]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("llm.chutes.ai/v1", "no http or https address"),
        ("ftp://host/v1", "no http or https address"),
        ("http://", "no http or https address"),
        ("http://[::1", "no http or https address"),
        ("http://host:99999/v1", "no http or https address"),
        ("https://me:secret@host/v1", "holds a user or password"),
        ("https://host/v1?key=secret", "holds a query"),
        ("https://host/v 1", "holds a query, a fragment or blanks"),
    ],
)
def test_a_base_url_that_cannot_be_is_refused_unseen(url: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        ProposalsConfig(model="m", base_url=url)
    assert "secret" not in caught.value.errors()[0]["msg"]


def test_a_base_url_loses_its_last_slash() -> None:
    config = ProposalsConfig(model="m", base_url="http://host:8000/v1/")
    assert config.base_url == "http://host:8000/v1"
