"""What is refused before a run starts, by `run` and `--dry-run` alike, and first words with Ray."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray._raylet import GcsClient  # type: ignore[attr-defined]

from orchestrator import ray_session
from orchestrator.ray_session import refuse_wrong_address
from tests.chaos.marked_run import marked_run
from tests.command import clutch

pytestmark = pytest.mark.integration
CONFIG = """\
name: wrong
storage: STORAGE
model: {type: hf, path: ./no-model}
datasets:
  mine: {type: path, path: mine.jsonl}
  gone: {type: path, path: gone}
  cnf: {type: dimacs, path: gone.cnf, style: compact}
stages:
  - {type: sft, dataset: mine, max_steps: 1}
evaluation: {dataset: cnf}
resources: {num_workers: 300, gpus_per_worker: 1}
tracking: {uri: "http://127.0.0.1:1"}
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    (tmp_path / "mine.jsonl").write_text('{"prompt": "x"}\n')
    path = tmp_path / "wrong.yaml"
    path.write_text(CONFIG.replace("STORAGE", str(tmp_path / "file")))
    return path


def told(code: int, out: str, err: str) -> list[str]:
    assert (code, out) == (2, "")
    assert err.startswith("clutch: ")
    return err.removeprefix("clutch: ").splitlines()


def test_every_mistake_is_told_before_anything_is_made(wrong: Path) -> None:
    before = sorted(wrong.parent.rglob("*"))
    done = clutch("run", wrong, "--dry-run", cwd=wrong.parent)
    lines = told(done.returncode, done.stdout, done.stderr)
    starts = [
        f'storage is "{wrong.parent}/file", and {wrong.parent}/file is a file: use a folder',
        "model.path './no-model' does not exist",
        'datasets.mine.path is "mine.jsonl", a file: a dataset is a folder with a manifest.json',
        'datasets.gone.path is "gone": no dataset at gone',
        "datasets.cnf reads gone.cnf, which is not there",
        'tracking.uri is "http://127.0.0.1:1", which cannot be opened: [Errno 111]',
        "resources.num_workers 300 with cpus_per_worker 1 need 300 CPUs, and this machine has",
        "resources.gpus_per_worker 1 for 300 workers needs 300 GPUs, and this machine has",
    ]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts
    again = clutch("run", wrong, cwd=wrong.parent)
    assert (again.returncode, again.stdout, again.stderr) == (2, "", done.stderr)
    joined = clutch("run", wrong, cwd=wrong.parent, RAY_ADDRESS="127.0.0.1:1")
    last = told(joined.returncode, joined.stdout, joined.stderr)[-1]
    assert last.startswith('RAY_ADDRESS is "127.0.0.1:1", where nothing answers')
    assert sorted(wrong.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "http://127.0.0.1:8265",
            "the address of a dashboard: use HOST:PORT as `ray start` prints",
        ),
        ("ray://127.0.0.1:10001", "use HOST:PORT, as `ray start` prints it"),
        ("head", "use HOST:PORT"),
        ("head.invalid:6379", "where nothing answers"),
        ("127.0.0.1:1", r"where nothing answers \(Connection refused\): start that Ray, or unset"),
    ],
)
def test_a_wrong_address_is_told_at_once(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=f'^RAY_ADDRESS is "{address}".*{message}'):
        refuse_wrong_address(address)


@contextmanager
def silent_server() -> Iterator[socket.socket]:
    """Takes connections and says nothing."""
    # Ray's client takes 127.0.0.1 for this machine's address in the network.
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(240)
        yield server


def test_what_is_no_ray_is_told_after_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session, "PROBE_S", 2)
    with silent_server() as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ValueError, match=f'"{address}", but it does not answer as a Ray'):
            refuse_wrong_address(address)


def test_ctrl_c_stops_the_wait_for_what_is_no_ray(tmp_path: Path) -> None:
    config = tmp_path / "right.yaml"
    config.write_text(
        "name: right\n"
        "datasets: {sat: {type: sat, style: compact, sizes: [{n: 3, m: 4}], splits: {test: 2}}}\n"
        "stages: [{type: sft, dataset: sat, split: test, max_steps: 1, max_completion_length: 8}]\n"
        "evaluation: {dataset: sat, max_completion_length: 8}\n"
        f"storage: {tmp_path / 'runs'}\ntracking: {{type: none}}\n"
    )
    with silent_server() as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with marked_run(config, RAY_ADDRESS=address) as run:
            for _ in range(2):  # ours, and that of Ray's client
                server.accept()[0].close()
            run.process.send_signal(signal.SIGINT)
            code, out, err = run.ended()
    assert (code, out) == (130, "")
    assert err == "interrupted: the same command goes on from the last saved state\n"
    assert not (tmp_path / "runs").exists()


def test_a_ray_of_another_version_is_refused(local_ray: None) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    refuse_wrong_address.cache_clear()
    refuse_wrong_address(address)
    client = GcsClient(address=address)
    kept = client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster")
    other = json.dumps({**json.loads(kept), "ray_version": "2.9.3"}).encode()
    refuse_wrong_address.cache_clear()
    client.internal_kv_put(b"CLUSTER_METADATA", other, True, namespace=b"cluster")
    try:
        with pytest.raises(ValueError, match=r"a Ray 2\.9\.3 on Python .*, and this is Ray "):
            refuse_wrong_address(address)
    finally:
        client.internal_kv_put(b"CLUSTER_METADATA", kept, True, namespace=b"cluster")
