"""Landlock: from here on this process reads the given files and folders, and nothing else.

It takes away every way to open, make, remove, rename or run a file elsewhere, TCP, abstract unix
sockets and signals to others, as far as the kernel's version knows how. It does not hide metadata.
"""

import ctypes
import os
import struct

from reward_fns.sandbox.syscalls import call

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
# How many file rights there are from an ABI on: what is not handled is not restricted.
_NUM_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
_ABI_NET, _NET_RIGHTS = 4, 0b11
_ABI_SCOPE, _SCOPES = 6, 0b11
_ABI_LOG, _LOG_OFF = 7, 1 << 0


def landlock_abi() -> int | None:
    """Return the version of Landlock that this kernel offers, or None."""
    try:
        return call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return None


def ruleset_attributes(abi: int) -> bytes:
    """Return what a ruleset shall handle: everything that this ABI knows."""
    num_rights = max(number for first, number in _NUM_FILE_RIGHTS if abi >= first)
    attributes = struct.pack("<Q", (1 << num_rights) - 1)
    if abi >= _ABI_NET:
        attributes += struct.pack("<Q", _NET_RIGHTS)
    if abi >= _ABI_SCOPE:
        attributes += struct.pack("<Q", _SCOPES)
    return attributes


def create_ruleset(abi: int, readable: list[str]) -> int:
    """Return a descriptor of a ruleset under which only `readable` can be opened, to read."""
    attributes = ctypes.create_string_buffer(ruleset_attributes(abi))
    ruleset = call("landlock_create_ruleset", attributes, len(attributes) - 1, 0)
    for path in readable:
        _allow_reading(ruleset, path)
    return ruleset


def _allow_reading(ruleset: int, path: str) -> None:
    rights = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", rights, opened))
        call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)


def restrict_self(abi: int, ruleset: int) -> None:
    """Put this process, and all that it starts, under the ruleset; needs no_new_privs."""
    call("landlock_restrict_self", ruleset, _LOG_OFF if abi >= _ABI_LOG else 0)
    os.close(ruleset)
