"""Many runs leave nothing behind; CLUTCH_SOAK_RUNS=10000 makes them many more."""

import json
import os
import subprocess
import sys

from tests.command import ROOT

RUNS = os.environ.get("CLUTCH_SOAK_RUNS", "1000")
GROWTH_BYTES = 8 << 20
SERVERS, VICTIM = 2, 1
PROCESSES = 1 + 2 + 2
"""Of a server: itself, two nurseries, and in each of them at most one program's template."""


def test_many_runs_leave_no_process_no_file_and_no_memory() -> None:
    """In a process of its own: what other tests hold and let go is not counted."""
    command = [sys.executable, "-m", "tests.security.soak", RUNS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    soaked = json.loads(done.stdout)
    before, after = soaked["before"], soaked["after"]
    assert soaked["wrong"] == []
    assert soaked["num_runs"] == int(RUNS)
    assert max(before["processes"], after["processes"]) <= SERVERS * PROCESSES + VICTIM
    assert after["descriptors"] == before["descriptors"]
    assert after["client_bytes"] - before["client_bytes"] < GROWTH_BYTES
    assert after["server_bytes"] - before["server_bytes"] < GROWTH_BYTES
    assert soaked["processes_after_closing"] == 0
