"""Datasets with proposed inputs, whole: file, HTTP, sandbox, journal, manifest."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datagen.abd_config import AbdConfig
from datagen.dataset import build_dataset, read_split, verify_dataset
from datagen.manifest import Manifest
from orchestrator.responder import check_api_key, open_responder
from reward_fns.registry import get_reward
from tests.chat_server import KEY, Answer, Call, ChatServer, Script, chat_server, refused, said
from tests.command import clutch
from tests.small_models import save_small_model

NUM_PROGRAMS = 12


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("CHUTES_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Programs that multiply by 3, 4, … and their runs on the input 5."""
    path = tmp_path / "programs.jsonl"
    rows = [
        {
            "program": f"n = int(input())\nprint(n * {k} + 1)\n",
            "inputs": "5",
            "output": f"{5 * k + 1}",
        }
        for k in range(3, 3 + NUM_PROGRAMS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def factor(call: Call) -> int:
    """Which of the programs a prompt shows."""
    found = re.search(r"n \* (\d+)", call.prompt)
    assert found is not None
    return int(found[1])


def good(call: Call) -> Answer:
    return said(f"<think>5 is taken</think><INPUT>\n{factor(call) + 40}\n</INPUT>")


def config(programs: Path, server: ChatServer, num: int | str, **changes: Any) -> AbdConfig:
    fast = {"model": "m", "base_url": server.base_url, "retry_wait_s": 0.01, "max_retries": 1}
    return AbdConfig.model_validate(
        {
            "type": "abd",
            "programs": {"type": "jsonl", "path": str(programs), "proposals": fast | changes},
            "splits": {"train": num},
        }
    )


def build(
    programs: Path, server: ChatServer, out: Path, num: int | str, **changes: Any
) -> Manifest:
    respond = partial(open_responder, journal=out.with_name(f"{out.name}.replies.jsonl"))
    made = config(programs, server, num, **changes)
    return build_dataset(made, out, seed=3, open_responder=respond)


def test_each_problem_has_a_proposed_input_that_scores_one(programs: Path, tmp_path: Path) -> None:
    with chat_server(good) as server:
        manifest = build(programs, server, tmp_path / "abd", "all")
        assert len(server.calls) == NUM_PROGRAMS
    rows = list(read_split(tmp_path / "abd", "train"))
    assert len(rows) == NUM_PROGRAMS
    for row in rows:
        env = json.loads(row.env)
        number = int(re.search(r"n \* (\d+)", env["program"])[1])
        assert row.answer == f"<INPUT>\n{number + 40}\n</INPUT>"
        assert env["expected_output"] == f"{(number + 40) * number + 1}\n"
        assert get_reward("abd").score(row.answer, row.env).value == 1.0
        assert get_reward("abd").score("<INPUT>5</INPUT>", row.env).value == 0.0
    assert manifest.replies is not None
    assert manifest.replies.num_replies == NUM_PROGRAMS
    assert manifest.replies.base_url == server.base_url
    assert KEY not in "".join(p.read_text("latin-1") for p in tmp_path.rglob("*") if p.is_file())


def test_no_more_is_asked_than_problems_are_wanted(programs: Path, tmp_path: Path) -> None:
    with chat_server(good) as server:
        build(programs, server, tmp_path / "abd", 4)
        assert len(server.calls) == 4


def odd(call: Call) -> Answer:
    """Every kind of reply, by program and attempt, after waits that shuffle them."""
    number = factor(call)
    answers = {
        3: said("I cannot."),
        4: said("<INPUT>five</INPUT>"),
        5: said("<INPUT>5</INPUT>"),
        6: refused(400),
        7: Answer(b"{"),
        8: said("<INPUT>" + "7" * 5000 + "</INPUT>"),
    }
    answer = answers.get(number) if "try 2" not in call.prompt else None
    return Answer(
        (answer or good(call)).body,
        (answer or good(call)).status,
        delay_s=0.01 * ((number * 7) % 5),
    )


def test_the_same_replies_make_the_same_dataset_whatever_the_timing(
    programs: Path, tmp_path: Path
) -> None:
    made = []
    with chat_server(odd) as server:
        for concurrency in (1, 8):
            out = tmp_path / f"at-{concurrency}"
            made.append(build(programs, server, out, 10, concurrency=concurrency))
        num_calls = len(server.calls)
        for path in (tmp_path / "at-8").iterdir():
            path.unlink()
        made.append(build(programs, server, tmp_path / "at-8", 10))
        assert len(server.calls) == num_calls, "all of it came from the journal"
    assert len({manifest.dataset_hash for manifest in made}) == 1
    assert len({manifest.replies.sha256 for manifest in made}) == 1
    dropped = {k: v for k, v in made[0].dropped.items() if v and k.startswith("proposal_")}
    reasons = ("no_input", "run_failed", "same_input", "http_error", "malformed", "too_long")
    assert set(dropped) <= {f"proposal_{reason}" for reason in reasons}
    assert sum(dropped.values()) >= 4


def test_a_spent_budget_leaves_no_dataset_and_loses_no_reply(
    programs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "abd"
    with chat_server(good) as server:
        with pytest.raises(ValueError, match=r"max_calls 5 of programs.proposals is spent"):
            build(programs, server, out, 8, max_calls=5)
        assert not out.exists()
        assert [path.name for path in sorted(tmp_path.iterdir())] == [
            "abd.replies.jsonl",
            "programs.jsonl",
        ]
        build(programs, server, out, 8, max_calls=5)
        assert len(server.calls) == 8


def test_what_costs_and_how_fast_is_no_part_of_the_dataset(programs: Path, tmp_path: Path) -> None:
    with chat_server(good) as server:
        first = build(programs, server, tmp_path / "abd", 3)
        same = {"concurrency": 2, "timeout_s": 9.0, "max_calls": 77, "max_retries": 0}
        assert build(programs, server, tmp_path / "abd", 3, **same) == first
        with pytest.raises(ValueError, match="another config"):
            build(programs, server, tmp_path / "abd", 3, temperature=0.1)
        assert verify_dataset(tmp_path / "abd") == first


def test_without_a_key_nothing_is_made(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with chat_server(good) as server:
        with pytest.raises(ValueError, match="set OPENAI_API_KEY or CHUTES_API_KEY"):
            build(programs, server, tmp_path / "abd", 3)
        with pytest.raises(ValueError, match="set OPENAI_API_KEY or CHUTES_API_KEY"):
            check_api_key(config(programs, server, 3))
        assert server.calls == []
    assert list(tmp_path.iterdir()) == [programs]


def test_a_build_that_was_given_no_model_says_so(programs: Path, tmp_path: Path) -> None:
    with (
        chat_server(good) as server,
        pytest.raises(ValueError, match="hand in open_responder"),
    ):
        build_dataset(config(programs, server, 3), tmp_path / "abd", seed=0)


RUN = """\
name: small
storage: {storage}
model: {{type: hf, path: {model}}}
datasets:
  main:
    type: abd
    programs: {{type: jsonl, path: {programs}, proposals: {{model: m, base_url: {url}}}}}
    splits: {{train: 4, test: 2}}
stages: [{{type: grpo, dataset: main, max_steps: 3}}]
evaluation: {{dataset: main}}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that reads the words of the prompts, which a tiny one does not."""
    save_small_model("llama", tmp_path / "model", max_position_embeddings=2048)
    return tmp_path / "model"


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_run_without_a_key_ends_before_it_begins(
    flags: tuple[str, ...], programs: Path, model: Path, tmp_path: Path
) -> None:
    storage, file = tmp_path / "runs", tmp_path / "run.yaml"
    url = "https://llm.chutes.ai/v1"
    file.write_text(RUN.format(storage=storage, programs=programs, url=url, model=model))
    done = clutch("run", file, *flags, OPENAI_API_KEY=KEY, CHUTES_API_KEY="")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line == (
        f"clutch: no key for the language model at {url}: set CHUTES_API_KEY in the environment, "
        "or make the dataset without proposed inputs"
    )
    assert not storage.exists()


def test_the_plan_of_a_run_holds_no_key(programs: Path, model: Path, tmp_path: Path) -> None:
    file, url = tmp_path / "run.yaml", "http://127.0.0.1:1/v1"
    file.write_text(RUN.format(storage=tmp_path / "runs", programs=programs, url=url, model=model))
    done = clutch("run", file, "--dry-run", OPENAI_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert url in done.stdout and KEY not in done.stdout + done.stderr


def datagen(programs: Path, server: ChatServer, out: Path, *flags: str) -> tuple[int, str, str]:
    """Exit code and output of `clutch datagen abd` with proposed inputs."""
    source = ("--from-programs", programs, "--propose", "m", "--base-url", server.base_url)
    done = clutch(
        *("datagen", "abd", "--out", out, *source, *flags), OPENAI_API_KEY=KEY, NO_PROXY="*"
    )
    assert KEY not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_the_command_makes_a_dataset_and_then_needs_no_key(programs: Path, tmp_path: Path) -> None:
    out = tmp_path / "abd"
    with chat_server(odd) as server:
        code, shown, errors = datagen(programs, server, out)
        assert code == 0, errors
        assert "1 proposal_http_error" in shown and "1 proposal_run_failed" in shown
        assert errors == "" or "Traceback" not in errors
        asked = len(server.calls)
        again = clutch(
            *("datagen", "abd", "--out", out, "--from-programs", programs),
            *("--propose", "m", "--base-url", server.base_url),
            OPENAI_API_KEY="",
        )
        assert again.returncode == 0, again.stderr
        assert len(server.calls) == asked


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        (lambda call: refused(401, call.authorization), (), "the key is refused"),
        (lambda call: refused(404, call.authorization), (), r"check base_url and model 'm'"),
        (lambda call: refused(400, call.authorization), (), r"HTTP 400: .*8 questions in a row"),
        (good, ("--max-calls", "3"), r"max_calls 3 of programs.proposals is spent"),
    ],
)
def test_the_command_ends_in_one_line_where_going_on_is_pointless(
    script: Script, flags: tuple[str, ...], words: str, programs: Path, tmp_path: Path
) -> None:
    with chat_server(script) as server:
        code, shown, errors = datagen(programs, server, tmp_path / "abd", *flags)
    assert (code, shown) == (2, "")
    (line,) = [line for line in errors.splitlines() if line.startswith("clutch:")]
    assert re.search(words, line)
    assert "Traceback" not in errors
    assert {path.name for path in tmp_path.iterdir()} <= {"programs.jsonl", "abd.replies.jsonl"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--propose", "m"), "--propose needs --from-programs"),
        (("--max-calls", "5"), "--max-calls needs --propose MODEL"),
        (("--propose", "m", "--from-cruxeval", "x.jsonl"), "--propose needs --from-programs"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    flags: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = clutch("datagen", "abd", "--out", tmp_path / "abd", *flags)
    assert done.returncode == 2
    assert words in done.stderr and len(done.stderr.splitlines()) == 1
