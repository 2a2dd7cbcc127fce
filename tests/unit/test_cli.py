"""The command as a user runs it: exit codes, messages, and what it does not import."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrator.cli import ONE_REQUEST_S, run_command
from orchestrator.failures import is_user_mistake
from orchestrator.yaml_source import parse_value
from tests.small_run import CONFIG

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
EVIDENCE = {
    "run_id": "r1",
    "model": "tiny",
    "started_at": "2026-11-01T10:00:00Z",
    "ended_at": "2026-11-01T10:05:00Z",
    "dataset": "sat",
    "metrics": {"loss": 0.5, "accuracy": 0.8},
}


def clutch(
    *arguments: str | Path, limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *map(str, arguments)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )


def refused(*arguments: str | Path) -> str:
    """What a user's mistake is answered with: exit code 2, at most two lines, no traceback."""
    done = clutch(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert 1 <= len(done.stderr.splitlines()) <= 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_help_lists_every_command() -> None:
    done = clutch("--help")
    assert done.returncode == 0
    for command in (
        "run",
        "datagen",
        "evaluate",
        "generate",
        "report",
        "publish",
        "gradients",
        "evidence",
    ):
        assert re.search(rf"{command}\s+[A-Z]", done.stdout)


@pytest.mark.parametrize(
    "command", ["run", "datagen sat", "evaluate", "generate", "report", "publish"]
)
def test_each_command_has_help(command: str) -> None:
    done = clutch(*command.split(), "--help")
    assert done.returncode == 0
    assert f"clutch {command}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["evidence", "validate", "{file}"],
        ["run", "--help"],
        ["gradients", "submit", "grpo", "--help"],
    ],
)
def test_light_commands_import_neither_torch_nor_ray(arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(EVIDENCE))
    code = (
        "import sys; from orchestrator.cli import run_command\n"
        f"assert run_command({[a.replace('{file}', str(file)) for a in arguments]!r}) == 0\n"
        "loaded = {'torch', 'ray', 'mlflow', 'transformers'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], 'Unknown command "rnu". Did you mean "run"?'),
        (["run"], "requires an argument"),
        (["run", "x.yaml", "--frehs"], "Did you mean --fresh?"),
        (["run", "nope.yaml"], "cannot read config nope.yaml: No such file"),
        (["run", "x.yaml", "--json"], "--json goes with --dry-run"),
        (["evaluate", "nope", "--data", "d"], "no checkpoint at nope: a model folder holds"),
        (["evaluate", "nope", "--data", "d", "--num-samples", "0"], "--num-samples: num_samples"),
        (["evaluate", "nope", "--data", "d", "--split", "test", "--top-p", "2"], "--top-p"),
        (["generate", "nope", "--prompt", "x"], "no checkpoint at nope"),
        (["generate", "nope", "--prompt", "x", "--top-p", "0"], "--top-p is 0.0"),
        (["generate", "nope", "--prompt", "x", "--num-samples", "2"], "set --temperature"),
        (["report", "nope"], "no run at nope"),
        (["publish", "nope", "s3://bucket/x"], "no dataset or file at nope"),
        (["publish", "README.md", "s3:///x"], "s3:///x names no bucket"),
        (["evidence", "validate", "nope.json"], "cannot read evidence nope.json: No such file"),
        (["datagen", "sat", "--out", "d", "--n", "3", "--k", "5"], "k 5 is more than n 3"),
        (["datagen", "sat", "--out", "d", "--m", "0"], "m is 0: must be at least 1"),
        (["datagen", "sat", "--out", "d", "--num", "many"], 'unable to convert "many" into int'),
        (["datagen", "sat", "--out", "d", "--family", "hard"], "hard"),
        (["datagen", "sat", "--out", "d", "--n", "4", "--m", "9", "--m", "8"], "2 --m for 1 --n"),
        (["datagen", "sat", "--out", "d", "--from-dimacs", "nope.cnf"], "no file or folder at"),
        (["datagen", "sat", "--out", "d", "--from-dimacs", "README.md", "--n", "3"], "--n cannot"),
        (["datagen", "sat", "--out", "d", "--from-dimacs", "\x1b[2J"], "or folder at ⟨U+001B⟩[2J"),
    ],
)
def test_a_users_mistake_ends_with_2(arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)


def test_a_typo_in_a_config_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "quickstart.yaml"
    path.write_text(CONFIG.replace("learning_rate", "lerning_rate"))
    told = refused("run", path)
    assert told == f'{path}:13:5 unknown key "lerning_rate", did you mean "learning_rate"?\n'
    path.write_text(CONFIG)
    told = refused("run", path, "--set", "seed=x")
    assert told == '--set seed=x: seed is "x": use a whole number\n'


def test_debug_shows_the_traceback() -> None:
    done = clutch("run", "nope.yaml", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "cannot read config nope.yaml" in done.stderr


def test_datagen_makes_a_dataset_once_and_says_what_it_is(tmp_path: Path) -> None:
    arguments = ["datagen", "sat", "--out", tmp_path / "d", "--n", "4", "--n", "5", "--m", "12"]
    arguments += ["--num", "30", "--split", "test", "--style", "compact", "--json"]
    first = clutch(*arguments)
    assert first.returncode == 0, first.stderr
    manifest = json.loads(first.stdout)
    assert manifest["splits"]["test"]["num_problems"] == 30
    assert set(manifest["difficulty"]["test"]) == {"n4 m12", "n5 m12"}
    written = (tmp_path / "d" / "manifest.json").stat().st_mtime_ns
    assert json.loads(clutch(*arguments).stdout) == manifest
    assert (tmp_path / "d" / "manifest.json").stat().st_mtime_ns == written
    assert "another config or seed" in refused(*arguments, "--seed", "1")


def test_datagen_reads_dimacs(tmp_path: Path) -> None:
    (tmp_path / "one.cnf").write_text("c tiny\np cnf 2 2\n1 2 0\n-1 0\n")
    done = clutch("datagen", "sat", "--out", tmp_path / "d", "--from-dimacs", tmp_path / "one.cnf")
    assert done.returncode == 0, done.stderr
    assert "test 1 rows" in done.stdout
    assert "clutch evaluate CHECKPOINT --data" in done.stdout


def test_malformed_dimacs_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "bad.cnf").write_text("p cnf 2 1\n1 x 0\n")
    told = refused("datagen", "sat", "--out", tmp_path / "d", "--from-dimacs", tmp_path / "bad.cnf")
    assert "bad.cnf:2" in told or "line 2" in told


@pytest.mark.parametrize(
    ("sent", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_a_signal_stops_a_command_with_its_code(
    sent: signal.Signals, word: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "orchestrator", "datagen", "sat", "--out", tmp_path / "d"]
    with subprocess.Popen(
        [*map(str, command), "--num", "100000000"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.iterdir()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(sent)
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + sent
    assert told.splitlines()[-1] == word
    assert "Traceback" not in told
    assert not (tmp_path / "d" / "manifest.json").exists()


STOPPED_IN_A_FINALIZER = """
import os, time
from orchestrator.cli import StopHandler

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), {number})
        time.sleep(0.2)

StopHandler().install()
try:
    Finalized()
    time.sleep(60)
except KeyboardInterrupt as stop:
    print(type(stop).__name__, flush=True)
"""


@pytest.mark.parametrize(
    ("sent", "raised"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated")]
)
def test_a_signal_in_a_finalizer_is_not_lost(sent: signal.Signals, raised: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_IN_A_FINALIZER.format(number=int(sent))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (raised, "")


SLOW_TO_STOP = """
import subprocess, sys, time
from orchestrator.cli import StopHandler
StopHandler().install()
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
try:
    child = subprocess.Popen(["sleep", "60"], **quiet)
    print(child.pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt as stop:
    print(type(stop).__name__, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_command_and_its_children_at_once(sent: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_STOP],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.send_signal(sent)
        process.send_signal(sent)  # `timeout` sends two for one: the process goes on stopping
        assert process.stdout.readline().strip() in ("KeyboardInterrupt", "Terminated")
        time.sleep(2 * ONE_REQUEST_S)
        process.send_signal(sent)
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + sent
    assert told == "ended at once\n"
    assert psutil.wait_procs([child], timeout=30)[1] == []


def test_what_is_not_the_users_mistake_ends_with_1(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    done = clutch("datagen", "sat", "--out", tmp_path / "d", "--num", "5000", limit=small_files)
    assert done.returncode == 1
    assert "File too large" in done.stderr


def test_a_reader_that_leaves_is_no_traceback() -> None:
    command = f"{sys.executable} -m orchestrator run --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert b"Traceback" not in done.stderr


def test_a_librarys_value_error_is_no_mistake_of_the_user() -> None:
    with pytest.raises(ValueError) as ours:
        parse_value("[", "--set x=[")
    with pytest.raises(ValueError) as library:
        json.loads("{")
    assert not is_user_mistake(library.value)
    assert is_user_mistake(ours.value)
    assert is_user_mistake(FileNotFoundError("x"))
    assert not is_user_mistake(RuntimeError("x"))


@pytest.mark.parametrize("written", ["~/none.json", "--file=~/none.json"])
def test_a_tilde_of_an_argument_is_the_home_folder(
    written: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run_command(["evidence", "validate", written])
    assert f"{tmp_path}/none.json" in capsys.readouterr().err
