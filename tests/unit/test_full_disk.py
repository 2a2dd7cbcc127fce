"""Every writer on a full disk: one line that names the path, and nothing half-written is left."""

import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from datagen.blocks.files import write_array
from datagen.shards import SaveError, whole_folder
from datagen.whole_file import replace_text, whole_file
from orchestrator.run_files import write_text
from orchestrator.signals import Signals
from orchestrator.storage.local import LocalFolder
from orchestrator.usage import UsageMonitor
from trainers import folders

LARGE = "x" * 200_000
Refusal = Callable[[], AbstractContextManager[None]]


def _whole_file(path: Path) -> None:
    with whole_file(path) as file:
        file.write(LARGE.encode())


def _whole_folder(path: Path) -> None:
    with whole_folder(path) as partial:
        (partial / "a").write_text(LARGE)


WRITERS: dict[str, Callable[[Path], object]] = {
    "whole_file": _whole_file,
    "whole_folder": _whole_folder,
    "replace_text": lambda path: replace_text(path, LARGE),
    "blocks": lambda path: write_array(path, np.zeros(200_000)),
    "run_files": lambda path: write_text(path, LARGE),
    "trainers": lambda path: folders.write_text(path, LARGE),
    "save_folder": lambda path: folders.save_folder(
        path, lambda folder: (folder / "a").write_text(LARGE) and None, {}
    ),
    "storage": lambda path: LocalFolder(path.parent).write_whole(path.name, LARGE.encode()),
}


@contextmanager
def limited() -> Iterator[None]:
    """Let no file grow, pytest's own output included, if that is a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(params=["full", "limited"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Refusal]]:
    """A folder, and what makes its disk refuse to hold more: no space, or a limit of file sizes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limited":
        yield folder, limited
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")

    @contextmanager
    def filled() -> Iterator[None]:
        (folder / "filler").write_bytes(bytes(os.statvfs(folder).f_bavail * 4096))
        yield

    yield folder, filled
    subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    before = sorted(path.name for path in folder.iterdir())
    yield
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_what_cannot_be_written_is_told_and_leaves_nothing(
    writer: str, disk: tuple[Path, Refusal]
) -> None:
    folder, refusing = disk
    with refusing(), nothing_left(folder), pytest.raises(SaveError) as told:
        WRITERS[writer](folder / "name")
    line = str(told.value)
    assert line.startswith(f"cannot save {folder}/name: ") and "\n" not in line
    assert "No space left on device: free some space" in line or "File too large" in line


def test_what_a_run_says_of_itself_costs_nothing_on_a_full_disk(
    disk: tuple[Path, Refusal],
) -> None:
    folder, refusing = disk
    signals = Signals(folder)
    with UsageMonitor(folder) as usage:
        usage.save()
        with refusing(), nothing_left(folder):
            signals.write(signals.error, {"message": LARGE})
            signals.write(signals.progress, {"what": LARGE})
            usage.save()


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    signals = Signals(tmp_path)
    for path in (signals.error, signals.progress):
        replace_text(path, "{}")
        name = f".{path.name}.partial-{socket.gethostname()}-{gone.pid}"
        path.with_name(name).write_text("{")
    signals.clear()
    assert list(tmp_path.iterdir()) == []
