"""A run as a job on a Ray that is already there: `ray job submit --working-dir .`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from datagen.manifest import verify_dataset
from orchestrator.config import config_data
from orchestrator.yaml_source import to_yaml
from tests.chaos.marked_run import rows
from tests.command import ROOT, clutch, succeeded, user_environment
from tests.small_quickstart import small_quickstart
from trainers.checkpoint import load_state

pytestmark = pytest.mark.integration
MARK = "CLUTCH_TEST_CLUSTER"
TAKEN = {"configs", "datagen", "orchestrator", "reward_fns", "trainers"}
TAKEN |= {".gitignore", ".rayignore", "README.md", "pyproject.toml"}
PLANTED = (".venv/lib/big.bin", "runs/old/big.bin", "data/big.bin", "mlflow.db")
PLANTED += ("run.log", "slurm-123.out", "job.err", "logs/today.txt")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(mark: str) -> dict[str, str]:
    """The user's, on both sides of a cluster on loopback that asks for no token."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, MARK: mark, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    clean = user_environment(**more)
    clean.pop("PYTHONPATH")  # the job's code is what was uploaded
    return clean


def kill_marked(mark: str) -> None:
    def is_ours(process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == mark and process.status() != "zombie"
        except psutil.Error:
            return False

    while ours := [process for process in psutil.process_iter() if is_ours(process)]:
        for process in ours:
            process.kill()
        psutil.wait_procs(ours, timeout=1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Path]]:
    """A head node on loopback: the address of its jobs, the environment, its temporary folder."""
    logs = tmp_path_factory.mktemp("cluster") / "ray.log"
    mark, port = uuid.uuid4().hex, free_port()
    env = environment(mark) | {"RAY_JOB_STOP_WAIT_TIME_S": "30"}
    temporary = Path("/tmp") / f"clutch-{mark[:8]}"  # sockets: a path of at most 107 bytes
    command = [
        "ray", "start", "--head", "--block", "--num-cpus=4", "--node-ip-address=127.0.0.1",
        f"--port={free_port()}", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}",
        f"--dashboard-agent-listen-port={free_port()}", f"--temp-dir={temporary}",
        f"--object-store-memory={100 * 2**20}", "--disable-usage-stats",
    ]  # fmt: skip
    log = logs.open("w")
    head = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=logs.parent)
    address = f"http://127.0.0.1:{port}"
    try:
        await_jobs(address, env, head, logs)
        yield address, env, temporary
    finally:
        kill_marked(mark)
        head.wait(30)
        log.close()
        shutil.rmtree(temporary, ignore_errors=True)


def await_jobs(
    address: str, env: dict[str, str], head: "subprocess.Popen[bytes]", log: Path
) -> None:
    deadline = time.monotonic() + 120
    listing = ["ray", "job", "list", "--address", address]
    while subprocess.run(listing, env=env, capture_output=True, check=False).returncode:
        assert head.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of this repository, as after a while of work: an environment, data and runs."""
    folder = tmp_path / "checkout"
    for name in ("orchestrator", "trainers", "datagen", "reward_fns", "configs", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", ".rayignore", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for name in PLANTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(2**20))
    return folder


def submit(
    cluster: tuple[str, dict[str, str], Path],
    checkout: Path,
    *arguments: str,
    command: Sequence[str] = ("run",),
    flags: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    address, env, _ = cluster
    job = ["ray", "job", "submit", "--address", address, "--working-dir", ".", *flags, "--"]
    job += ["python", "-m", "orchestrator", *command, *arguments]
    return subprocess.run(
        job, cwd=checkout, env=env, capture_output=True, text=True, check=False, timeout=300
    )


def test_the_quickstart_runs_as_a_job_and_uploads_the_code_alone(
    cluster: tuple[str, dict[str, str], Path], checkout: Path, tmp_path: Path
) -> None:
    sets = ("resources.num_workers=1", "tracking.type=none")
    config = small_quickstart(tmp_path / "shared", *sets)
    (checkout / "configs" / "small.yaml").write_text(to_yaml(config_data(config)))
    done = submit(cluster, checkout, "configs/small.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| grpo " in done.stdout
    assert "temporary folder" not in done.stdout
    folder = tmp_path / "shared" / "quickstart"
    result = json.loads((folder / "result.json").read_text())
    assert list(result["checkpoints"]) == ["base", "sft", "grpo"]

    found = cluster[2].glob("session_2*/runtime_resources/working_dir_files/*")
    (package,) = [path for path in found if path.is_dir()]
    uploaded = {str(path.relative_to(package)) for path in package.rglob("*.*")}
    assert {"orchestrator/pipeline.py", "configs/small.yaml", "pyproject.toml"} <= uploaded
    assert {name.partition("/")[0] for name in uploaded} == TAKEN


def test_a_job_that_is_stopped_saves_its_state(
    cluster: tuple[str, dict[str, str], Path], checkout: Path, tmp_path: Path
) -> None:
    sets = ("resources.num_workers=1", "stages.sft.max_steps=100000", "tracking.type=none")
    config = small_quickstart(tmp_path / "shared", *sets)
    (checkout / "configs" / "long.yaml").write_text(to_yaml(config_data(config)))
    address, env, _ = cluster
    folder, job = tmp_path / "shared" / "quickstart", ["--address", address, "stopped"]
    submitted = submit(
        cluster, checkout, "configs/long.yaml", flags=("--no-wait", "--submission-id", "stopped")
    )
    assert submitted.returncode == 0, submitted.stderr
    deadline = time.monotonic() + 120
    while not rows(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for command in ("stop", "logs"):
        done = subprocess.run(
            ["ray", "job", command, *job], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "terminated: the same command goes on from the last saved state" in done.stdout
    assert "Traceback" not in done.stdout
    state = load_state(folder / "state" / "sft")
    assert state is not None and state.step >= rows(folder)[-1][1]


def test_a_dataset_is_made_as_a_job_by_the_clusters_workers(
    cluster: tuple[str, dict[str, str], Path], checkout: Path, tmp_path: Path
) -> None:
    settings = ("-n", "900", "--style", "compact", "--sat-n", "6", "--seed", "7", "--json")
    folder = tmp_path / "shared" / "data"
    made = ("--workers", "2", "--out", str(folder))
    done = submit(cluster, checkout, *settings, *made, command=("datagen", "grpo"))
    assert done.returncode == 0, done.stdout + done.stderr
    alone = clutch("datagen", "grpo", *settings, "--out", tmp_path / "alone")
    wanted = json.loads(succeeded(alone))["dataset_hash"]
    assert verify_dataset(folder).dataset_hash == wanted


def test_a_mistake_in_a_jobs_config_fails_the_job(
    cluster: tuple[str, dict[str, str], Path], checkout: Path
) -> None:
    done = submit(cluster, checkout, "configs/quickstart.yaml", "--set=sead=1")
    assert done.returncode == 1
    assert 'unknown key "sead", did you mean "seed"?' in done.stdout + done.stderr
