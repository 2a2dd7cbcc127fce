"""A run and what follows it, each as a command in a process of its own."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from orchestrator.progress import TURNING
from tests.chaos.marked_run import MARK, marked_processes
from tests.command import ROOT, clutch, succeeded
from tests.small_quickstart import QUICKSTART, small_overrides
from tests.terminal import terminal

pytestmark = pytest.mark.integration
RUN = [sys.executable, "-m", "orchestrator", "run", str(QUICKSTART)]
TELEMETRY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def sets(storage: Path, *more: str) -> list[str]:
    return [f"--set={text}" for text in small_overrides(storage, *more)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def listening() -> dict[str, set[str]]:
    """Addresses that processes of the run listen on, by the name of a process."""
    return {}


@pytest.fixture(scope="module")
def told(storage: Path, listening: dict[str, set[str]]) -> tuple[list[str], str]:
    """What the small quickstart shows and prints, on two workers and a Ray of its own."""
    home = {"HOME": str(storage / "home"), MARK: uuid.uuid4().hex}
    with tempfile.TemporaryFile() as results, watch_sockets(home[MARK], listening):
        with terminal(RUN + sets(storage), 80, stdout=results.fileno(), environment=home) as shown:
            lines = shown.end()
        results.seek(0)
        return lines, results.read().decode()


@contextmanager
def watch_sockets(mark: str, found: dict[str, set[str]]) -> Iterator[None]:
    """Look again and again at what the marked processes listen on."""
    over = Event()

    def look() -> None:
        while not over.wait(0.3):
            for process in marked_processes(mark):
                with suppress(psutil.Error):
                    sockets = process.net_connections("inet")
                    listening = {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
                    found.setdefault(process.name(), set()).update(listening)

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@pytest.fixture(scope="module")
def printed(told: tuple[list[str], str]) -> str:
    return told[1]


@pytest.fixture(scope="module")
def folder(storage: Path, printed: str) -> Path:
    return storage / "quickstart"


def test_a_run_ends_with_the_table_and_where_to_look(printed: str, folder: Path) -> None:
    for words in ("| base ", "| sft ", "| grpo ", "| guess: majority", "unseen"):
        assert words in printed
    assert f"report    {folder}/delta_report.html" in printed
    assert f"mlflow ui --backend-store-uri sqlite:///{folder.parent}/mlflow.db" in printed
    assert (folder / "delta_report.html").is_file()


def test_a_terminal_keeps_one_line_of_each_step(told: tuple[list[str], str]) -> None:
    lines = [line for line in told[0] if line.startswith("done ")]
    assert not any(sign in "".join(told[0]) for sign in (*TURNING, "waiting for"))
    assert [line[8:32].strip() for line in lines] == [
        "generate sat/test", "generate sat/unseen", "generate sat/validation", "generate sat/train",
        "generate sat/warmup", "evaluate base", "train sft", "evaluate sft", "train grpo",
        "evaluate grpo",
    ]  # fmt: skip
    counts = [line[32:42].strip() for line in lines]
    assert counts == ["40", "12", "8", "60", "100", "52", "30", "52", "6", "52"]
    assert "loss=" in lines[6] and "reward=" in lines[8]


def test_the_whole_table_stands_on_a_terminal(storage: Path, folder: Path) -> None:
    with terminal(RUN + sets(storage), 80) as shown:
        lines = shown.end()
    names = ("base ", "sft ", "grpo ", "guess: all True", "guess: random", "guess: majority")
    rows = [line.strip() for line in lines if line.strip().startswith(names)]
    rows = [row for row in rows if not row.startswith("grpo against")]
    assert [next(name for name in names if row.startswith(name)) for row in rows] == [*names] * 2
    assert "grpo against sft: " in "".join(lines) and "waiting" not in "".join(lines)
    assert lines[-1] == "" or lines[-1].startswith("metrics")


def test_all_processes_of_a_run_listen_on_loopback_only(
    printed: str, listening: dict[str, set[str]]
) -> None:
    assert sum(map(bool, listening.values())) >= 4  # GCS, raylet, dashboard, workers
    assert set().union(*listening.values()) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening


def test_two_workers_leave_two_logs_of_rollouts_and_one_of_metrics(folder: Path) -> None:
    logs = sorted(path.name for path in (folder / "rollouts").glob("*.jsonl"))
    assert logs == ["grpo-rank0.jsonl", "grpo-rank1.jsonl"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [10, 20, 30, 2, 4, 6]


def test_nothing_is_written_to_the_users_home(folder: Path) -> None:
    home = folder.parent / "home"
    assert not (home / ".ray").exists()
    assert not [path for path in home.rglob("*token*") if path.is_file()]


def test_the_run_is_quiet_and_tells_its_steps(storage: Path, folder: Path) -> None:
    done = clutch("run", QUICKSTART, *sets(storage))
    assert done.returncode == 0
    assert "INFO" not in done.stderr and "Warning" not in done.stderr
    assert all("=" in line for line in done.stderr.splitlines())


def test_telemetry_is_off_in_every_process(tmp_path: Path) -> None:
    script = tmp_path / "telemetry.py"
    script.write_text(
        "import json, os, sys\n"
        "from orchestrator.quiet import prepare_environment\n"
        "prepare_environment()\n"
        "import ray\n"
        "from orchestrator.config import ResourcesConfig\n"
        "from orchestrator.progress import Progress\n"
        "from orchestrator.ray_session import ray_session\n"
        "with Progress() as p, ray_session(ResourcesConfig(), verbose=False, progress=p):\n"
        "    there = ray.get(ray.remote(lambda: dict(os.environ)).remote())\n"
        "print(json.dumps([dict(os.environ), there]))\n"
    )
    long = tmp_path / "slurm_jobdir" / "1355700" / ("some_user_name" * 5)
    long.mkdir(parents=True)
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    bare["TMPDIR"] = str(long)
    done = subprocess.run(
        [sys.executable, script], env=bare, capture_output=True, text=True, check=False
    )
    for environment in json.loads(succeeded(done)):
        assert {name: environment.get(name) for name in TELEMETRY} == TELEMETRY
    # No socket fits below that TMPDIR.
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("TMPDIR has ")]
    short = Path(line.partition("it uses ")[2].partition(" ")[0])
    assert short.parent == Path("/tmp") and not short.exists()


def test_the_command_that_a_run_suggests_works(printed: str) -> None:
    (line,) = [line for line in printed.splitlines() if line.startswith("try it")]
    arguments = shlex.split(line.removeprefix("try it").strip())
    assert arguments[:2] == ["clutch", "generate"]
    answer = succeeded(clutch(*arguments[1:])).strip()
    assert answer and set(answer) <= set("+-0123456789 =;walkUNST")


def test_samples_are_a_function_of_the_seed(folder: Path) -> None:
    command = ["generate", folder / "checkpoints" / "grpo", "--prompt", "-1 +2 -3 ; +1 +2 +3 ="]
    more = ["--num-samples", "6", "--temperature", "1.5", "--json"]
    first = json.loads(succeeded(clutch(*command, *more)))
    assert len(first) == 6 and len(set(first)) > 1
    assert json.loads(succeeded(clutch(*command, *more))) == first
    assert json.loads(succeeded(clutch(*command, *more, "--seed", "1"))) != first


def test_evaluate_gives_the_rates_of_the_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers" / "grpo.jsonl"
    done = clutch(
        "evaluate", folder / "checkpoints" / "grpo", "--data", folder / "datasets" / "sat",
        "--num-samples", "4", "--max-completion-length", "8", "--out", out, "--json",
    )  # fmt: skip
    result = json.loads(succeeded(done))
    run = json.loads((folder / "result.json").read_text())
    assert result["test"]["checkpoints"]["grpo"] == run["checkpoints"]["grpo"]
    assert result["test"]["chance"]["majority"] == run["chance"]["majority"]
    rows = (folder / "eval_after.jsonl").read_text().splitlines()
    tests = [line for line in rows if json.loads(line)["split"] == "test"]
    assert out.read_text().splitlines() == tests


def test_evaluate_prints_a_table_for_each_split(folder: Path) -> None:
    checkpoint, data = folder / "checkpoints" / "sft", folder / "datasets" / "sat"
    splits = ["--split", "test", "--split", "unseen", "--limit", "10", "--num-samples", "2"]
    printed = succeeded(clutch("evaluate", checkpoint, "--data", data, *splits))
    assert "10 problems, 95 % intervals (test)" in printed
    assert "10 problems, 95 % intervals (unseen)" in printed
    assert "guess: majority" in printed


def test_report_writes_the_report_again(folder: Path) -> None:
    page = folder / "delta_report.html"
    before = (page.read_text(), json.loads((folder / "result.json").read_text()))
    page.unlink()
    printed = succeeded(clutch("report", folder))
    assert str(page) in printed and "| grpo " in printed
    assert (page.read_text(), json.loads((folder / "result.json").read_text())) == before


def test_a_checkpoint_is_measured_on_dimacs_files(tmp_path: Path) -> None:
    cnf = tmp_path / "cnf"
    cnf.mkdir()
    (cnf / "sat.cnf").write_text("c made by hand\np cnf 3 2\n1 -2 3 0\n-1 2 3 0\n%\n0\n")
    (cnf / "unsat.cnf").write_text("p cnf 1 2\n1 0\n-1 0\n")
    data = tmp_path / "data"
    arguments = ["--out", data, "--from-dimacs", cnf, "--style", "compact", "--json"]
    manifest = json.loads(succeeded(clutch("datagen", "sat", *arguments)))
    assert manifest["splits"]["test"]["num_rows"] == 2
    config = tmp_path / "base.yaml"
    config.write_text(
        "name: base\nmodel: {hidden_size: 16}\n"
        "datasets: {sat: {type: path, path: " + str(data) + "}}\n"
        "stages: [{type: grpo, dataset: sat, split: test, max_steps: 1, "
        "generation_batch_size: 16, max_completion_length: 4}]\n"
        "evaluation: {dataset: sat, num_samples: 2, max_completion_length: 4}\n"
        "resources: {num_workers: 0}\ntracking: {type: none}\n"
        f"storage: {tmp_path / 'runs'}\n"
    )
    succeeded(clutch("run", config))
    base = tmp_path / "runs" / "base" / "checkpoints" / "base"
    result = json.loads(succeeded(clutch("evaluate", base, "--data", data, "--json")))
    assert result["test"]["checkpoints"]["base"]["greedy"]["n"] == 2
