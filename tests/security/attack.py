"""What an attack is: a program that says what it achieved, and how its run may end."""

from dataclasses import dataclass, field

from reward_fns.sandbox import Limits

ACHIEVED = "ACHIEVED"

PREAMBLE = """
import ctypes, json, os, sys

scene = json.load(sys.stdin)
libc = ctypes.CDLL(None, use_errno=True)
library = os.path.dirname(os.__file__)
buffer = ctypes.create_string_buffer(256)


def attempt(what, action):
    try:
        value = action()
    except BaseException:
        return
    print("ACHIEVED", what, repr(value)[:200], flush=True)


def raw(name, *arguments):
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    number = name if isinstance(name, int) else scene["numbers"][name]
    result = libc.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result
"""


@dataclass(frozen=True)
class Attack:
    """A program that starts with PREAMBLE, and prints ACHIEVED for each thing it got."""

    name: str
    text: str
    statuses: frozenset[str] = frozenset({"ok", "error"})
    limits: Limits = field(default=Limits(wall_s=10.0))
    works_unguarded: bool = False
    """Whether a test may run it without guards, to show that it can succeed."""

    @property
    def program(self) -> str:
        """The whole program."""
        return PREAMBLE + self.text


def attack(
    name: str,
    text: str,
    *statuses: str,
    limits: Limits | None = None,
    works_unguarded: bool = False,
) -> Attack:
    """Make an attack; `statuses`: how its run may end, ok or error by default."""
    return Attack(
        name,
        text,
        frozenset(statuses or ("ok", "error")),
        limits or Limits(wall_s=10.0),
        works_unguarded,
    )
