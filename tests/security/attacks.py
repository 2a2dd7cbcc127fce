"""All attacks."""

from tests.security import (
    attacks_files,
    attacks_kernel,
    attacks_processes,
    attacks_resources,
    attacks_server,
)
from tests.security.attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *attacks_kernel.ATTACKS,
    *attacks_files.ATTACKS,
    *attacks_processes.ATTACKS,
    *attacks_resources.ATTACKS,
    *attacks_server.ATTACKS,
)
