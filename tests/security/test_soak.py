"""Many runs leave nothing behind; CLUTCH_SOAK_RUNS=10000 makes them many more."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.attack_driver import children_of
from tests.security.scene import SECRET, Scene
from tests.security.soak import soak

RUNS = int(os.environ.get("CLUTCH_SOAK_RUNS", "1000"))
GROWTH_BYTES = 8 << 20


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("CLUTCH_TEST_SECRET", SECRET)
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_many_runs_leave_no_process_no_file_and_no_memory(scene: Scene) -> None:
    children = children_of(os.getpid())
    soaked = soak(RUNS, scene)
    assert soaked.wrong == []
    assert soaked.after.processes == soaked.before.processes == children + 2
    assert soaked.after.descriptors == soaked.before.descriptors
    assert soaked.after.client_bytes - soaked.before.client_bytes < GROWTH_BYTES
    assert soaked.after.server_bytes - soaked.before.server_bytes < GROWTH_BYTES
    assert children_of(os.getpid()) == children
