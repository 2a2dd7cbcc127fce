"""SIGKILL while a model replies: what was answered is on the disk and not paid for twice."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datagen.proposal_config import ProposalsConfig
from datagen.replies import Question, Reply
from orchestrator.reply_journal import journal_beside
from orchestrator.responder import open_responder
from tests.chat_server import KEY, Answer, Call, chat_server, said
from tests.command import ROOT, clutch, succeeded, user_environment

pytestmark = pytest.mark.chaos

NUM_QUESTIONS, CONCURRENCY = 60, 4
DRIVER = """
import sys
from pathlib import Path
from typing import Any
from datagen.proposal_config import ProposalsConfig
from datagen.replies import Question
from orchestrator.responder import open_responder
config = ProposalsConfig.model_validate_json(sys.argv[1])
with open_responder(config, Path(sys.argv[2])) as responder:
    responder.ask([Question(f"question {i}") for i in range(int(sys.argv[3]))])
"""


def slow_echo(call: Call) -> Answer:
    return Answer(said(f"re: {call.prompt}").body, delay_s=0.05)


def kill_after(command: list[str], journal: Path, num_lines: int) -> None:
    """Run a command, and kill it when the journal has so many more lines."""
    wanted = _num_lines(journal) + num_lines
    process = subprocess.Popen(
        [sys.executable, *command],
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
            command = ["-c", DRIVER, config.model_dump_json(), str(journal), str(NUM_QUESTIONS)]
            kill_after(command, journal, num_lines)
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


def slow_number(call: Call) -> Answer:
    """Proposes an input for a program `n * K + 1`."""
    found = re.search(r"n \* (\d+)", call.prompt)
    assert found is not None
    return Answer(said(f"<INPUT>{int(found[1]) + 40}</INPUT>").body, delay_s=0.1)


def test_a_killed_dataset_is_made_of_the_replies_it_paid_for(tmp_path: Path) -> None:
    programs, out = tmp_path / "programs.jsonl", tmp_path / "abd"
    rows = [
        {
            "program": f"n = int(input())\nprint(n * {k} + 1)",
            "inputs": "5",
            "output": f"{5 * k + 1}",
        }
        for k in range(3, 27)
    ]
    programs.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(url: str, folder: Path) -> list[str]:
        given = ["--from-programs", str(programs), "--propose", "m", "--base-url", url]
        making = ["datagen", "abd", "--out", str(folder), *given, "--concurrency", "2", "--json"]
        return ["-m", "orchestrator", *making]

    with chat_server(slow_number) as server:
        kill_after(command(server.base_url, out), journal_beside(out), 5)
        assert not out.exists()
        time.sleep(0.3)
        killed = made(command(server.base_url, out))
        assert len(server.calls) <= len(rows) + 2, "only what was in flight is asked again"
        whole = made(command(server.base_url, tmp_path / "whole"))
    assert killed["dataset_hash"] == whole["dataset_hash"]
    assert killed["replies"] == whole["replies"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("abd", "abd.replies.jsonl", "programs.jsonl", "whole", "whole.replies.jsonl")
    ]


def made(command: list[str]) -> dict[str, Any]:
    """The manifest that the command prints."""
    done = clutch(*command[2:], OPENAI_API_KEY=KEY, NO_PROXY="*")
    return json.loads(succeeded(done))
