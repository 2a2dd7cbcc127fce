"""`clutch doctor`: whether this machine can run programs that nobody vouches for, and how fast."""

import json as json_module
import os
import time
from dataclasses import asdict, dataclass

from reward_fns.sandbox import Layers, Sandbox, SandboxError, layers

PROGRAM = "n = int(input())\nprint(n * 3 + 4)"
MEASURE_S = 1.0
WARM_UPS = 20


@dataclass(frozen=True)
class Findings:
    """What this machine offers the sandbox."""

    layers: Layers
    missing: str | None
    """Why no program is run, or None."""
    runs_per_second: float | None
    """Guarded runs a second, one after the other on one server."""


def doctor(*, json: bool = False) -> int:
    """Tell which guards run programs on this machine, and how fast; exit code 1 if none may run.

    Parameters
    ----------
    json
        Print the findings as one JSON object.
    """
    findings = examine(layers())
    print(json_module.dumps(_as_json(findings)) if json else _as_text(findings))
    return 0 if findings.missing is None else 1


def examine(found: Layers) -> Findings:
    """Start one server under these layers, and measure it."""
    try:
        with Sandbox(1, layers=found) as sandbox:
            return Findings(found, None, _measure(sandbox))
    except SandboxError as error:
        return Findings(found, str(error), None)


def _measure(sandbox: Sandbox) -> float:
    for _ in range(WARM_UPS):
        sandbox.run(PROGRAM, "1\n")
    number, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < MEASURE_S:
        if sandbox.run(PROGRAM, f"{number}\n").stdout != f"{number * 3 + 4}\n".encode():
            raise SandboxError("a server gave a wrong answer")
        number += 1
    return number / elapsed


def _as_json(findings: Findings) -> dict[str, object]:
    return {
        "guarded": findings.missing is None,
        "missing": findings.missing,
        "layers": asdict(findings.layers),
        "runs_per_second": findings.runs_per_second and round(findings.runs_per_second, 1),
    }


def _as_text(findings: Findings) -> str:
    found, rate = findings.layers, findings.runs_per_second
    rows = {
        "seccomp": "active" if found.seccomp else "missing",
        "landlock": f"active, version {found.landlock}"
        if found.landlock
        else "missing: programs can open no file at all, and import only what is preloaded",
        "pidfd": "active" if found.pidfd else "missing",
        "bubblewrap": f"active, {found.bubblewrap}"
        if found.bubblewrap
        else "not there: an outer layer, which is not required",
    }
    head = f"{found.machine}, Linux {os.uname().release}"
    lines = [head, *(f"  {name:<11}{state}" for name, state in rows.items())]
    if findings.missing is None and rate is not None:
        lines.append(f"Programs run guarded: {rate:.0f} a second on one server.")
    else:
        lines.append(f"No program is run: {findings.missing}")
    return "\n".join(lines)
