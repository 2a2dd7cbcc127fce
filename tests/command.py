"""The command line as a user has it: a process of its own, with none of the tests' settings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ("RAY_", "MLFLOW_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "DO_NOT_TRACK")


def user_environment(**more: str) -> dict[str, str]:
    """The environment without what the tests, or a Ray in this process, have set for themselves."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    return {**clean, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), **more}


def clutch(
    *arguments: str | Path, cwd: Path = ROOT, timeout_s: float = 180, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m orchestrator`, which is what `clutch` does."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *map(str, arguments)],
        cwd=cwd,
        env=user_environment(**environment),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that ended well."""
    assert done.returncode == 0, done.stderr
    return done.stdout
