"""What a dataset may ask of a language model: questions in, replies out, in the same order.

How a reply is fetched is not known here: whoever builds a dataset hands in a `Responder`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from datagen.proposal_config import ProposalsConfig

BUDGET_SPENT = "budget_spent"
"""The failure of a question that was not asked, since no further request may be sent."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt; `attempt` tells apart several replies to the same one."""

    prompt: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The text of a reply, or why there is none: http_error, timeout, malformed, too_long, …"""

    text: str | None
    failure: str | None = None


class Responder(Protocol):
    """Answers questions by a language model."""

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the reply to each question, in order.

        Raises ValueError, in one line, where going on is pointless: a refused key, a model that
        is not there, a service that fails again and again.
        """

    @property
    def num_replies(self) -> int:
        """How many questions were asked so far."""

    @property
    def sha256(self) -> str:
        """The hash of every reply so far, in the order of the questions."""


OpenResponder = Callable[[ProposalsConfig], AbstractContextManager[Responder]]
"""Opens the language model that a config names; ValueError where it cannot be asked."""
