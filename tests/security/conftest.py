"""Runs all attacks once a session for each user that this session can be."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.security.scene import SECRET

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
Verdicts = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Verdicts]]:
    """What came of all attacks, by user ("own", "nobody") and guards."""
    folder = Path(tempfile.mkdtemp(prefix="clutch-attacks-"))
    folder.chmod(0o755)
    yield cache(lambda who, guards="guarded": _attack(folder, who, guards))
    shutil.rmtree(folder)


def _attack(folder: Path, who: str, guards: str) -> Verdicts:
    if who == "nobody" and os.geteuid() != 0:
        pytest.skip("only root can become another user; all of this ran unprivileged already")
    scene = folder / f"{who}-{guards}"
    scene.mkdir()
    arguments = ["-m", "tests.security.attack_driver", str(scene), guards]
    options: dict[str, Any] = {"cwd": ROOT}
    python = sys.executable
    if who == "nobody":
        os.chown(scene, NOBODY, NOBODY)
        python = _python_for_nobody()
        options = {"cwd": _readable_copy(folder), "user": NOBODY, "group": NOBODY}
        options["extra_groups"] = []
    done = subprocess.run(
        [python, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "CLUTCH_TEST_SECRET": SECRET},
        **options,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    return {verdict["name"]: verdict for verdict in verdicts}


def _readable_copy(folder: Path) -> Path:
    """Copy what the driver needs to where another user may read it."""
    copy = folder / "copy"
    for package in ("reward_fns", "tests/security"):
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def _python_for_nobody() -> str:
    """Return an interpreter that another user may run; root's own may lie in its home."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        question = [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            asked = subprocess.run(question, user=NOBODY, capture_output=True, timeout=60)
        except OSError:
            continue
        if asked.returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 that another user may run")
