"""The Ray that a run uses: the one it was submitted to, or one of its own on this machine.

Where an address is wrong, the client of Ray waits for minutes, logs to the terminal and is deaf to
Ctrl-C: RAY_ADDRESS is tried first, in a process that can be stopped.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import ray

from orchestrator.config import ResourcesConfig
from orchestrator.failures import Terminated
from orchestrator.progress import Progress
from orchestrator.quiet import ray_address, ray_init_options

OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory of a Ray of our own: runs pass rows of metrics, not tensors."""
POLL_S = 1.0
CONNECT_S = 5.0
PROBE_S = 15.0
SOCKET_BYTES = 107
"""Longest path of a Unix socket on Linux."""
LONGEST_SOCKET = "/ray/session_2026-01-31_12-00-00_123456_4194304/sockets/plasma_store"
LONGEST_TMPDIR = SOCKET_BYTES - len(LONGEST_SOCKET)
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def ray_session(resources: ResourcesConfig, *, verbose: bool, progress: Progress) -> Iterator[None]:
    """Join the running Ray named by RAY_ADDRESS, or start one and stop it at the end.

    Raises ValueError where no such Ray answers, or does not offer the CPUs and GPUs asked for
    within `resources.start_timeout_s`.
    """
    if ray.is_initialized():
        _await_resources(resources, progress)
        yield
        return
    address, options = ray_address(), ray_init_options(verbose=verbose)
    with _short_tmpdir(progress if address is None else None):
        with progress.waiting("Ray to answer" if address else "Ray to start"):
            if address is not None:
                refuse_wrong_address(address)
            else:
                # One process less: nobody takes this machine away in the middle of a run.
                os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
                options |= {
                    "address": "local",
                    "num_cpus": num_cpus(resources),  # each is an idle process to begin with
                    "object_store_memory": OBJECT_STORE_BYTES,
                    "dashboard_host": "127.0.0.1",
                }
            with _own_signal_handlers():
                ray.init(**options)
        try:
            _await_resources(resources, progress)
            yield
        finally:
            ray.shutdown()


@cache
def refuse_wrong_address(address: str) -> None:
    """Raise ValueError, within CONNECT_S + PROBE_S, unless a Ray like ours answers at `address`."""
    if address.startswith(("http://", "https://")):
        raise ValueError(
            f'RAY_ADDRESS is "{address}", the address of a dashboard: use HOST:PORT as `ray start` '
            f"prints it, or `ray job submit --address {address}`"
        )
    if address != "auto":
        _connect(address)
    command = [sys.executable, "-m", "orchestrator.ray_probe", address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        told = json.loads(done.stdout) if done.returncode == 0 else {"error": "it cannot be asked"}
    except subprocess.TimeoutExpired:
        told = {"error": f"it does not answer as a Ray within {PROBE_S:g} s"}
    if "mismatch" in told:
        raise ValueError(f'RAY_ADDRESS is "{address}", a {told["mismatch"]}: use the same versions')
    if "error" in told:
        reason = " ".join(told["error"].split())
        raise ValueError(
            f'RAY_ADDRESS is "{address}", but {reason}: give the HOST:PORT that `ray start` '
            "printed, or unset it to use a Ray of this machine"
        )


def _connect(address: str) -> None:
    """Raise ValueError unless something listens at `address`."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not (host and colon and port.isdigit() and int(port) < 2**16):
        raise ValueError(f'RAY_ADDRESS is "{address}": use HOST:PORT, as `ray start` prints it')
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise ValueError(
            f'RAY_ADDRESS is "{address}", where nothing answers ({error.strerror or error}): start '
            "that Ray, or unset it to use a Ray of this machine"
        ) from None


@contextmanager
def _short_tmpdir(progress: Progress | None) -> Iterator[None]:
    """Give a Ray of our own a short private folder where its sockets would not fit into TMPDIR."""
    name = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
    folder = os.environ.get(name, "")
    if progress is None or len(os.fsencode(folder)) <= LONGEST_TMPDIR:
        yield
        return
    short = _make_short_folder(name)
    progress.note(
        f"{name} has {len(os.fsencode(folder))} bytes, of which {LONGEST_TMPDIR} leave room for "
        f"the sockets of Ray: it uses {short} instead"
    )
    before = {key: os.environ.get(key) for key in ("RAY_TMPDIR", "TMPDIR")}
    os.environ.update(dict.fromkeys(before, short))
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key)
            if value is not None:
                os.environ[key] = value
        shutil.rmtree(short, ignore_errors=True)


def _make_short_folder(name: str) -> str:
    for parent in SHORT_FOLDERS:
        with suppress(OSError):
            return tempfile.mkdtemp(prefix="clutch-", dir=parent)
    raise ValueError(
        f"{name} is too long for the sockets of Ray, and none of {', '.join(SHORT_FOLDERS)} can be "
        f"written: set it to a folder whose path has at most {LONGEST_TMPDIR} bytes"
    )


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Put our handlers back that `ray.init` replaces; a SIGTERM in between is one to us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit as error:
        raise Terminated from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def num_cpus(resources: ResourcesConfig) -> int:
    """CPUs of all workers, of which there is one at least, rounded up."""
    return int(-(-max(1, resources.num_workers) * resources.cpus_per_worker // 1))


def _await_resources(resources: ResourcesConfig, progress: Progress) -> None:
    """Wait until the cluster has what the workers need, which an autoscaler may have to add."""
    workers = max(1, resources.num_workers)
    wanted = {
        "CPU": workers * resources.cpus_per_worker,
        "GPU": workers * resources.gpus_per_worker,
    }
    deadline = time.monotonic() + resources.start_timeout_s
    while True:
        offered = ray.cluster_resources()
        short = [name for name, amount in wanted.items() if offered.get(name, 0) < amount]
        if not short:
            return
        name = short[0]
        need = f"{wanted[name]:g} {name}s, the cluster has {offered.get(name, 0):g}"
        if time.monotonic() > deadline:
            raise ValueError(
                f"resources.num_workers {workers} needs {need}: lower it, or add nodes "
                f"(waited {resources.start_timeout_s:g} s, resources.start_timeout_s)"
            )
        with progress.waiting(f"nodes ({need})"):
            time.sleep(min(POLL_S, max(0.05, deadline - time.monotonic())))
