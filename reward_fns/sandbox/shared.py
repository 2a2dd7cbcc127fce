"""This process's own pool, which reward functions share."""

import os
import threading

from reward_fns.sandbox.limits import Limits, Result
from reward_fns.sandbox.pool import Mode, Sandbox, check_mode, check_num_servers

_DEFAULT = Limits()
_lock = threading.Lock()
_pool: Sandbox | None = None
_num_servers: int | None = None
_mode: Mode = "guarded"


def configure_sandbox(num_servers: int | None = None, mode: str = "guarded") -> None:
    """Say how the shared pool shall be; one that runs already is replaced if that differs."""
    global _num_servers, _mode, _pool
    if num_servers is not None:
        check_num_servers(num_servers)
    with _lock:
        changed = (num_servers, mode) != (_num_servers, _mode)
        _num_servers, _mode = num_servers, check_mode(mode)
        old, _pool = (_pool, None) if changed else (None, _pool)
    if old is not None:
        old.close()


def shared_sandbox() -> Sandbox:
    """Return this process's pool: started at the first use, closed when the process ends."""
    global _pool
    with _lock:
        if _pool is None or _pool.closed:
            _pool = Sandbox(_num_servers, _mode)
        return _pool


def run(program: str, stdin: str | bytes = b"", limits: Limits = _DEFAULT) -> Result:
    """Run one program on the shared pool."""
    return shared_sandbox().run(program, stdin, limits)


def _after_fork() -> None:
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork)
