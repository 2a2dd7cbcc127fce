"""Starts a server's process: a fresh interpreter with an empty environment."""

import socket
import subprocess

from reward_fns.sandbox.bubblewrap import HERE, interpreter, wrapped
from reward_fns.sandbox.layers import Layers

ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC0", "LD_BIND_NOW": "1"}

# The packages' own __init__ is left out: a server loads only what it needs.
_START = """
import sys
for name, path in (("reward_fns", {package!r}), ("reward_fns.sandbox", {here!r})):
    module = type(sys)(name)
    module.__path__ = [path]
    sys.modules[name] = module
from reward_fns.sandbox.nursery import fork_nurseries
nurseries = fork_nurseries({unsafe!r}, {landlock!r})
from reward_fns.sandbox.server import main
main(3, {unsafe!r}, nurseries)
"""


def start_server(layers: Layers, unsafe: bool) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a server; returns its process, and our end of its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        process = subprocess.Popen(
            command(layers, unsafe),
            env=ENVIRONMENT,
            cwd="/",
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def command(layers: Layers, unsafe: bool) -> list[str]:
    """Return the command line of a server."""
    start = _START.format(
        package=str(HERE.parent), here=str(HERE), unsafe=unsafe, landlock=layers.landlock
    )
    plain = [interpreter(), "-s", "-P", "-S", "-c", start]
    return plain if unsafe or layers.bubblewrap is None else wrapped(layers.bubblewrap, plain)
