"""What all tests share: one thread a process, no network, no telemetry, and one Ray for a session.

The environment is set before any test module imports torch, Ray or transformers. Where Ctrl-C is
ignored it is made to work, since some tests send it.
"""

import os
import signal

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "MPLBACKEND": "agg",
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "RAY_AUTH_MODE": "disabled",  # loopback only; tests of the command line take this back
    }
)
os.environ.pop("RAY_ADDRESS", None)
os.environ.pop("MLFLOW_TRACKING_URI", None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background job ignores Ctrl-C, and so would all commands that are started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from collections.abc import Iterator

import pytest

from orchestrator.quiet import prepare_environment, ray_init_options
from tests.benchmarks import described
from tests.hub_server import hub, hub_there
from tests.storage_servers import guarded, moto, rclone

__all__ = ["guarded", "hub", "hub_there", "moto", "rclone"]

prepare_environment()


def pytest_report_header() -> str:
    """Say whether the benchmark sets are there in full."""
    return f"benchmark sets: {described()}"


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of this test session, which runs in this process join."""
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=100 * 2**20,
        dashboard_host="127.0.0.1",
        **ray_init_options(),
    )
    yield
    ray.shutdown()
