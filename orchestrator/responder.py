"""Answers a dataset's questions by a language model: journal first, then HTTP, within a budget.

    with open_responder(config, journal_path) as responder:
        replies = responder.ask(questions)

Replies come back in the order of the questions, and what counts as an answer does not depend on
which request ended first.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datagen.abd_config import AbdProblems
from datagen.config import DatasetConfig
from datagen.mix_config import MixConfig
from datagen.proposal_config import ProposalsConfig
from datagen.replies import BUDGET_SPENT, Question, Reply
from orchestrator.api_key import ApiKey, find_api_key
from orchestrator.chat import ChatClient
from orchestrator.exchange import CallFailed, repetitions
from orchestrator.reply_journal import ReplyJournal, reply_key

MAX_FAILURES = 8
"""Questions that fail one after another until the service is held to be out of order."""


@contextmanager
def open_responder(config: ProposalsConfig, journal: Path) -> Iterator["ChatResponder"]:
    """Open the journal and yield a responder; ValueError without a key in the environment."""
    key = find_api_key(config.base_url)
    with ReplyJournal(journal) as replies:
        yield ChatResponder(config, key, replies)


def check_api_key(config: DatasetConfig) -> None:
    """Raise ValueError if a dataset needs a language model whose key is not in the environment."""
    problems = config.abd if isinstance(config, MixConfig) else config
    if isinstance(problems, AbdProblems) and problems.proposals is not None:
        find_api_key(problems.proposals.base_url)


class _BudgetSpent(Exception):
    """No further request may be sent."""


class ChatResponder:
    """A `datagen.replies.Responder` over HTTP."""

    def __init__(self, config: ProposalsConfig, key: ApiKey, journal: ReplyJournal) -> None:
        self.config = config
        self.num_calls = 0
        self.num_replies = 0
        self._key = key
        self._journal = journal
        self._digest = hashlib.sha256()
        self._failures_in_a_row = 0
        self._is_reached = False

    @property
    def sha256(self) -> str:
        """The hash of every reply so far, in the order of the questions."""
        return self._digest.hexdigest()

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """Return the reply to each question, in order; what the journal holds is not asked again.

        Raises ValueError if the key, the address or the model is refused, or if `MAX_FAILURES`
        questions in a row have failed in spite of all repetitions.
        """
        keys = [self._reply_key(question) for question in questions]
        missing = {k: q for k, q in zip(keys, questions, strict=True) if not self._journal.find(k)}
        asked = asyncio.run(self._ask_all(missing)) if missing else {}
        # Only now: where the service is out of order, failures are to be asked again another time.
        for key, reply in asked.items():
            if reply.failure not in (None, BUDGET_SPENT):
                self._keep(key, missing[key], reply)
        return [self._reply(key, asked) for key in keys]

    def _reply(self, key: str, asked: dict[str, Reply]) -> Reply:
        reply = asked.get(key) or self._journal.find(key)
        assert reply is not None
        line = f"{key} {reply.failure} {reply.text!r}\n"
        self._digest.update(line.encode(errors="surrogatepass"))
        self.num_replies += 1
        return reply

    def _reply_key(self, question: Question) -> str:
        config = self.config
        return reply_key(
            config.model,
            question.prompt,
            question.attempt,
            config.temperature,
            config.max_tokens,
        )

    async def _ask_all(self, questions: dict[str, Question]) -> dict[str, Reply]:
        """Ask each question, `concurrency` at a time; the first error ends all."""
        slots = asyncio.Semaphore(self.config.concurrency)
        async with ChatClient(self.config, self._key) as client:

            async def answer(key: str, question: Question) -> Reply:
                async with slots:
                    return await self._answer(client, key, question)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = {k: group.create_task(answer(k, q)) for k, q in questions.items()}
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return {key: task.result() for key, task in tasks.items()}

    async def _answer(self, client: ChatClient, key: str, question: Question) -> Reply:
        try:
            text = await self._with_repetitions(client, question.prompt)
        except _BudgetSpent:
            return Reply(None, BUDGET_SPENT)
        except CallFailed as failure:
            if not self._is_reached and not failure.sent:
                where = self.config.base_url
                raise ValueError(
                    f"cannot reach {where}: {failure}: check base_url and the network"
                ) from None
            self._count_failure(failure)
            return Reply(None, failure.reason)
        self._failures_in_a_row = 0
        reply = Reply(text)
        self._keep(key, question, reply)
        return reply

    async def _with_repetitions(self, client: ChatClient, prompt: str) -> str:
        config = self.config
        limits = config.max_retries, config.retry_wait_s
        async for attempt in repetitions(*limits, lambda: self._is_reached):
            with attempt:
                if self.num_calls >= config.max_calls:
                    raise _BudgetSpent
                self.num_calls += 1
                try:
                    text = await client.complete(prompt)
                except CallFailed as failure:
                    self._is_reached |= failure.sent and failure.reason != "timeout"
                    raise
                self._is_reached = True
                return text
        raise AssertionError("a failed last attempt raises")

    def _count_failure(self, failure: CallFailed) -> None:
        """Hold the service to be out of order after so many failures in a row."""
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= MAX_FAILURES:
            raise ValueError(
                f"{self.config.base_url} fails: {failure} ({MAX_FAILURES} questions in a row); "
                f"what was answered is kept in {self._journal.path}, and the same command goes on"
            )

    def _keep(self, key: str, question: Question, reply: Reply) -> None:
        config = self.config
        about = {"base_url": config.base_url, "model": config.model, "attempt": question.attempt}
        self._journal.add(key, reply, **about)
