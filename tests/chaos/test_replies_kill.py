"""SIGKILL while a model replies: what was answered is on the disk and not paid for twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from datagen.proposal_config import ProposalsConfig
from datagen.replies import Question, Reply
from orchestrator.responder import open_responder
from tests.chat_server import KEY, Answer, Call, chat_server, said
from tests.command import ROOT, user_environment

pytestmark = pytest.mark.chaos

NUM_QUESTIONS, CONCURRENCY = 60, 4
DRIVER = """
import sys
from pathlib import Path
from datagen.proposal_config import ProposalsConfig
from datagen.replies import Question
from orchestrator.responder import open_responder
config = ProposalsConfig.model_validate_json(sys.argv[1])
with open_responder(config, Path(sys.argv[2])) as responder:
    responder.ask([Question(f"question {i}") for i in range(int(sys.argv[3]))])
"""


def slow_echo(call: Call) -> Answer:
    return Answer(said(f"re: {call.prompt}").body, delay_s=0.05)


def kill_after(config: ProposalsConfig, journal: Path, num_lines: int) -> None:
    """Ask in a process of its own, and kill it when its journal has so many more lines."""
    wanted = _num_lines(journal) + num_lines
    command = [sys.executable, "-c", DRIVER, config.model_dump_json(), str(journal)]
    process = subprocess.Popen(
        [*command, str(NUM_QUESTIONS)],
        cwd=ROOT,
        env=user_environment(OPENAI_API_KEY=KEY, NO_PROXY="*"),
    )
    try:
        deadline = time.monotonic() + 60
        while _num_lines(journal) < wanted:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_builds_pay_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "*")
    journal = tmp_path / "a.replies.jsonl"
    questions = [Question(f"question {i}") for i in range(NUM_QUESTIONS)]
    kept: set[str] = set()
    with chat_server(slow_echo) as server:
        config = ProposalsConfig(base_url=server.base_url, model="m", concurrency=CONCURRENCY)
        for num_lines in (5, 10, 20):
            kill_after(config, journal, num_lines)
            time.sleep(0.2)  # what was in flight has come to its end at the server
            complete = journal.read_bytes().rpartition(b"\n")[0].splitlines()
            kept = {json.loads(line)["text"].removeprefix("re: ") for line in complete}
            asked_before = len(server.calls)
        with open_responder(config, journal) as responder:
            replies = responder.ask(questions)
    assert replies == [Reply(f"re: question {i}") for i in range(NUM_QUESTIONS)]
    assert kept.isdisjoint(call.prompt for call in server.calls[asked_before:])
    times = Counter(call.prompt for call in server.calls)
    assert times.total() <= NUM_QUESTIONS + 3 * CONCURRENCY
    assert len(journal.read_text().splitlines()) == NUM_QUESTIONS
