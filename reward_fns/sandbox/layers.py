"""Which guards this machine offers."""

import os
import sys
from dataclasses import dataclass

from reward_fns.sandbox.bubblewrap import working_bubblewrap
from reward_fns.sandbox.landlock import landlock_abi
from reward_fns.sandbox.seccomp import seccomp_available
from reward_fns.sandbox.syscalls import MACHINE, MACHINES


@dataclass(frozen=True, slots=True)
class Layers:
    """What stands between a program and this machine."""

    machine: str
    landlock: int | None
    """The ABI of Landlock; None: not offered, and programs can then open no file at all."""
    seccomp: bool
    pidfd: bool
    bubblewrap: str | None
    """The path of bwrap where it works: the whole server then runs inside it."""

    @property
    def missing_minimum(self) -> str | None:
        """What is missing without which no program is run, or None."""
        if sys.platform != "linux":
            return f"the sandbox needs Linux, not {sys.platform}"
        if self.machine not in MACHINES:
            return (
                f"the sandbox knows the system calls of {', '.join(MACHINES)}, not {self.machine}"
            )
        if not self.pidfd:
            return "the kernel has no pidfd_open: Linux 5.3 or newer is needed"
        if not self.seccomp:
            return "the kernel, or the container around it, offers no seccomp filters"
        return None


def layers() -> Layers:
    """Return what is active on this machine."""
    return Layers(
        machine=MACHINE,
        landlock=landlock_abi(),
        seccomp=seccomp_available(),
        pidfd=_has_pidfd(),
        bubblewrap=working_bubblewrap(),
    )


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True
