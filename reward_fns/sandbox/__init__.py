"""Runs programs that nobody vouches for: with limits, without files, network or processes.

    from reward_fns.sandbox import Limits, run
    run("print(int(input()) * 2)", "21\\n").stdout   # b"42\\n"

Errors: ValueError for limits and modes that cannot be; SandboxError (a RuntimeError) where the
sandbox itself fails or this machine lacks the guards. What a program does is always a Result.
"""

from reward_fns.sandbox.layers import Layers, layers
from reward_fns.sandbox.limits import STATUSES, Limits, Result, SandboxError, Status
from reward_fns.sandbox.pool import Mode, Sandbox
from reward_fns.sandbox.shared import configure_sandbox, run, shared_sandbox

__all__ = [
    "STATUSES",
    "Layers",
    "Limits",
    "Mode",
    "Result",
    "Sandbox",
    "SandboxError",
    "Status",
    "configure_sandbox",
    "layers",
    "run",
    "shared_sandbox",
]
