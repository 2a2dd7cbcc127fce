"""`clutch gradients` as a user runs it: what it sends, refuses and prints, and never the key."""

import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from datagen.formats.export import export_rows
from orchestrator.cli import run_command
from orchestrator.gradients.checks import check_file
from tests.export_rows import mixed_rows
from tests.gradients_server import KEY, Fault, GradientsServer, gradients_server

MODEL = ["--model", "Qwen/Qwen3-0.6B", "--hours", "3"]
GRPO = ["submit", "grpo", *MODEL, "--reward", "sat_reward_fn=0.5", "--reward", "abd_reward_fn"]
SIGNED = "?X-Amz-Credential=a&X-Amz-Signature=5ecre7"
Run = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "grpo.json"
    export_rows("gradients", mixed_rows(2000), path)
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, data: Path) -> Iterator[GradientsServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with gradients_server() as running:
        for name in ("sat_reward_fn", "abd_reward_fn"):
            running.functions.append({"reward_id": str(uuid4()), "name": name, "code": ""})
        running.files["/grpo.json"] = data.read_bytes()
        monkeypatch.setenv("GRADIENTS_API_KEY", KEY)
        monkeypatch.setenv("GRADIENTS_BASE_URL", running.url)
        yield running


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Run:
    caplog.set_level("DEBUG")

    def command(*arguments: Any, code: int = 0) -> tuple[str, str]:
        got = run_command(["gradients", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert got == code, err
        for text in (out, err, caplog.text):
            assert KEY not in text and "5ecre7" not in text
        if code:
            assert len(err.splitlines()) == 1, err
        return out, err

    return command


def rows(count: int, **changes: Any) -> list[dict[str, Any]]:
    extra = json.dumps({"task_type": "SAT", "cls": [[1]]})
    return [{"prompt": f"p{i}", "extra_data": extra, **changes} for i in range(count)]


def test_a_task_is_submitted_once_and_shown(server, run):
    url = f"{server.url}/grpo.json{SIGNED}"
    out, _ = run(*GRPO, "--data", url)
    task = server.tasks[0]
    assert re.match(rf"task {task['id']} is created: clutch-[0-9a-f]{{16}}\n", out)
    assert "data: 2,000 rows, " in out and "--watch" in out
    (sent,) = server.sent("POST", "/v1/tasks/create_grpo")
    assert sent["ds_repo"] == url and sent["file_format"] == "s3"
    assert [each["reward_weight"] for each in sent["reward_functions"]] == [0.5, 1.0]
    assert server.file_keys == [None]
    out, _ = run(*GRPO, "--data", url.replace("5ecre7", "5ecre7again"), "--json")
    again = {"task_id": task["id"], "created": False, "status": "pending"}
    assert json.loads(out) == {**again, "result_model_name": task["result_model_name"]}
    run(*GRPO, "--data", url, "--name", "another-one")
    assert len(server.tasks) == 2


def test_sft_names_the_columns_of_our_export_by_default(server, run):
    server.files["/sft.json"] = json.dumps([{"prompt": "p", "response": "r"}] * 2000).encode()
    out, _ = run("submit", "sft", *MODEL, "--data", f"{server.url}/sft.json")
    assert "is created" in out
    (sent,) = server.sent("POST", "/v1/tasks/create_custom_dataset_text")
    assert (sent["field_instruction"], sent["field_output"]) == ("prompt", "response")


def test_a_dry_run_prints_the_request_and_sends_nothing(server, run, data, monkeypatch):
    out, _ = run(*GRPO, "--data", data, "--dry-run")
    assert f"POST {server.url}/v1/tasks/create_grpo\nAuthorization: Bearer ***\n" in out
    assert "dry run: nothing is sent" in out and "data: 2,000 rows" in out
    monkeypatch.delenv("GRADIENTS_API_KEY")
    out, _ = run(*GRPO, "--data", f"{server.url}/grpo.json{SIGNED}", "--dry-run", "--json")
    shown = json.loads(out)
    assert shown["json"]["ds_repo"] == f"{server.url}/grpo.json?[redacted]"
    assert shown["headers"] == {"Authorization": "Bearer ***"}
    assert server.requests == []


def test_the_name_of_a_dry_run_is_the_name_of_the_task(server, run):
    options = [*GRPO, "--data", f"{server.url}/grpo.json{SIGNED}"]
    shown = json.loads(run(*options, "--dry-run", "--json")[0])
    done = json.loads(run(*options, "--json")[0])
    assert shown["json"]["result_model_name"] == done["result_model_name"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows(1999), "has 1,999 rows: the platform refuses fewer than 2,000"),
        ([*rows(2000), {"prompt": "p"}], "row 2000 has no column extra_data: there are prompt"),
        ([{"text": "p"}], "row 0 has no column prompt: there are text"),
        (rows(1, extra_data={"task_type": "SAT"}), "no JSON string of an object in extra_data"),
        (rows(1, extra_data="{'task_type': 'SAT'}"), "no JSON string of an object in extra_data"),
        (rows(1, prompt=" "), "row 0 has no text in prompt"),
        (rows(1, prompt=None), "row 0 has no text in prompt"),
        (["p"], "row 0 is no object with columns"),
        ([], "has 0 rows"),
        ({"prompt": "p"}, "cannot be read as a JSON array of rows: not a JSON array"),
        (b'[{"prompt": "p"', "cannot be read as a JSON array of rows: truncated"),
        (b'{"prompt": "p"}\n' * 2000, "not a JSON array"),
        (b"", "cannot be read as a JSON array of rows: empty"),
    ],
)
def test_data_that_the_platform_would_refuse_is_refused_first(content, message, server, run):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    server.files["/bad.json"] = body
    _, err = run(*GRPO, "--data", f"{server.url}/bad.json{SIGNED}", code=2)
    assert message in err
    assert server.sent("POST", "/v1/tasks/create_grpo") == []


def test_a_file_that_is_too_large_is_refused_while_it_is_read():
    body = io.BytesIO(json.dumps(rows(3000)).encode())
    with pytest.raises(ValueError, match="x is over 70,000 bytes: the platform refuses it"):
        check_file(body, "x", ["prompt"], max_bytes=70_000)
    assert body.tell() < 200_000


def test_programs_that_the_source_cannot_evaluate_are_counted(server, run):
    odd = json.dumps({"task_type": "ABD", "program": "import os", "expected_output": "1"})
    content = rows(1990) + rows(10, extra_data=odd)
    server.files["/odd.json"] = json.dumps(content).encode()
    out, _ = run(*GRPO, "--data", f"{server.url}/odd.json")
    assert "abd_reward_fn scores 0 for 10 of 10 ABD rows" in out and "10 Import" in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--data": "{url}/none.json"}, "answers HTTP 404: the platform could not read it"),
        ({"--data": "{url}/grpo.json?X-Amz-Signature=expired"}, "has its signature expired?"),
        ({"--data": "http://127.0.0.1:1/x.json"}, "cannot be read from here (ConnectError)"),
        ({"--data": "https://user:pw@host/x.json"}, "with a user or password"),
        ({"--data": "{file}"}, "the platform cannot read this machine: clutch publish"),
        ({"--data": "/nowhere.json"}, "no such file: give s3://BUCKET/KEY"),
        ({"--data": "s3:///x.json"}, "names no bucket"),
        ({"--presign-hours": "169"}, "presign hours 169: use 1 to"),
        ({"--hours": "2000"}, "--hours: hours_to_complete is 2000"),
        ({"--hours": "1.5"}, "--hours: hours_to_complete is 1.5"),
        ({"--model": "a b"}, "--model: model_repo"),
        ({"--name": "a/b"}, "--name: result_model_name"),
        ({"--reward": "nope"}, "--reward nope: no such function"),
        ({"--reward": "x=much"}, "write NAME=0.5"),
        ({"--reward": "sat_reward_fn=-1"}, "write NAME=0.5"),
        ({"--reward": "sat_reward_fn=nan"}, "write NAME=0.5"),
        ({"--base-url": "http://example.org"}, "--base-url: "),
    ],
    ids=str,
)
def test_mistakes_are_told_in_one_line_before_anything_is_made(changes, message, server, run, data):
    options = dict(zip(MODEL[::2], MODEL[1::2], strict=True))
    options |= {"--reward": "sat_reward_fn", "--data": "{url}/grpo.json"} | changes
    given = [part.format(url=server.url, file=data) for pair in options.items() for part in pair]
    _, err = run("submit", "grpo", *given, code=2)
    assert message in err
    assert server.tasks == []


def test_a_reward_and_a_key_are_needed(server, run, monkeypatch):
    _, err = run("submit", "grpo", *MODEL, "--data", "hf://a/b", code=2)
    assert "--reward is missing" in err
    monkeypatch.delenv("GRADIENTS_API_KEY")
    assert "set GRADIENTS_API_KEY" in run("list", code=2)[1]


def test_data_on_the_hub_and_unchecked_data_are_sent_as_they_are(server, run):
    out, _ = run(*GRPO, "--data", "hf://owner/name")
    assert "data: not checked" in out
    run(*GRPO, "--data", f"{server.url}/none.json", "--unchecked")
    hub, url = server.sent("POST", "/v1/tasks/create_grpo")
    assert (hub["ds_repo"], hub["file_format"]) == ("owner/name", "hf")
    assert url["ds_repo"] == f"{server.url}/none.json"
    assert "sft takes files" in run("submit", "sft", *MODEL, "--data", "hf://a/b", code=2)[1]


def test_tasks_are_listed_shown_watched_and_removed(server, run):
    nasty = server.add_task("b\x1b[31m\nx", "training", ds_repo=f"https://x/{SIGNED}")
    task = server.add_task("mine")
    out, _ = run("list")
    assert len(out.splitlines()) == 3 and out.startswith("id ") and "\x1b" not in out
    listed = json.loads(run("list", "--json")[0])
    assert [each["id"] for each in listed] == [task["id"], nasty["id"]]
    server.statuses[task["id"]] = ["pending", "success"]
    out, _ = run("status", task["id"], "--watch", "--interval-s", "0.01")
    assert re.findall(r"(pending|success), type GrpoTask", out) == ["pending", "success"]
    shown = json.loads(run("status", task["id"], "--json")[0])
    assert shown["status"] == "success" and shown["hours_to_complete"] == 2.0
    run("cancel", task["id"])
    assert "there is no task" in run("status", task["id"], code=2)[1]
    server.statuses[nasty["id"]] = ["failure"]
    assert "has ended: failure" in run("status", nasty["id"], "--watch", code=1)[1]


def test_trouble_of_the_service_is_told_in_one_line(server, run):
    server.faults["GET /v1/tasks"] = [Fault(500, body=f'{{"detail":"{KEY}"}}'.encode())] * 9
    _, err = run("list", "--max-retries", "0", code=1)
    assert "GET /v1/tasks fails (1 times): HTTP 500: [redacted]" in err


def test_rewards_are_exported_registered_and_listed(server, run, tmp_path):
    out, _ = run("rewards", "export", "--out", tmp_path / "r", "--prefix", "team_")
    files = out.split()
    assert [Path(file).name for file in files] == ["team_sat_reward_fn.py", "team_abd_reward_fn.py"]
    out, _ = run("rewards", "register", *files)
    assert re.match(r"[0-9a-f-]{36} team_sat_reward_fn\n", out)
    out, _ = run("rewards", "register", *files, "--json")
    assert [each["created"] for each in json.loads(out)] == [False, False]
    out, _ = run("rewards", "list")
    assert "team_abd_reward_fn  Score 1.0 if the program prints" in out
    assert "def team_sat_reward_fn" in run("rewards", "list", "--json")[0]
    broken = tmp_path / "x.py"
    broken.write_bytes(b"\xff")
    assert "no UTF-8" in run("rewards", "register", broken, code=2)[1]
    broken.write_bytes(gzip.compress(b"def f(): pass"))
    assert "x.py is a gzip file" in run("rewards", "register", broken, code=2)[1]
    assert "no file is given" in run("rewards", "register", code=2)[1]


def test_an_exported_file_runs_alone(run, tmp_path):
    run("rewards", "export", "--out", tmp_path)
    extra = json.dumps({"task_type": "SAT", "cls": [[1, -2]], "num_vars": 2, "satisfiable": True})
    code = f"print(sat_reward_fn(['x1=True, x2=True', 'x1=False, x2=True'], [{extra!r}] * 2))"
    source = (tmp_path / "sat_reward_fn.py").read_text()
    command = [sys.executable, "-I", "-S", "-c", f"{source}\n{code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[1.0, 0.0]\n"
