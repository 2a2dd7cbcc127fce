"""The folder in which a dataset is made in blocks: held by one session, kept until it is whole."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"


@contextmanager
def own_work(work: Path, folder: Path) -> Iterator[None]:
    """Hold the work folder alone; ValueError if another session does."""
    for name in ("parts", "dataset"):
        (work / name).mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("w") as lock:
        if not _locked(lock.fileno()):
            raise ValueError(f"{folder} is being made now by another process: wait for it")
        yield


def remove_work(folder: Path) -> None:
    """Remove what the making of a dataset has left, also with other settings or block sizes."""
    place = folder.resolve()
    for work in place.parent.glob(f".{place.name}.work-*"):
        with (work / LOCK).open("a") as lock:
            if _locked(lock.fileno()):
                shutil.rmtree(work, ignore_errors=True)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
