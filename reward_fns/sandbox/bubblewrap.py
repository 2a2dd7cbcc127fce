"""Bubblewrap: namespaces of its own for a whole server, in which hardly a file is there.

An outer layer where `bwrap` is installed and this user may make namespaces. It does not end with
the thread that started it (`--die-with-parent` would): the server ends when its socket closes.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
_PROBE_S = 10.0
_SYSTEM = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")


def interpreter() -> str:
    """Return the real interpreter, also where this one runs in a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def wrapped(bwrap: str, command: list[str]) -> list[str]:
    """Return the command line that runs a command in namespaces, with Python and nothing else."""
    binds = []
    for path in (*_SYSTEM, sys.base_prefix, interpreter(), str(HERE)):
        binds += ["--ro-bind-try", path, path]
    return [bwrap, "--unshare-all", "--cap-drop", "ALL", *binds, "--dev", "/dev", *command]


@cache
def working_bubblewrap() -> str | None:
    """Return the path of a bwrap that works here, or None."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    try:
        done = subprocess.run(
            wrapped(bwrap, [interpreter(), "-S", "-c", ""]),
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bwrap if done.returncode == 0 else None
