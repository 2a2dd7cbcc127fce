"""The guards of a machine: what is there, what is missing, and what the filter lets through."""

import struct
from dataclasses import replace

import pytest

from reward_fns.sandbox import Layers, Sandbox, SandboxError, layers
from reward_fns.sandbox.landlock import ruleset_attributes
from reward_fns.sandbox.seccomp import FORK_FLAGS, build_filters
from reward_fns.sandbox.syscalls import MACHINES

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
READING, WRITING, PATH_ONLY = 0o2000000, 0o2000001, 0o12000000
SOCKETS = {"x86_64": 41, "aarch64": 198}
FORKS = {"x86_64": (56, 57, 58, 435), "aarch64": (220, 435)}


def answer(codes: tuple[bytes, ...], architecture: int, number: int, *arguments: int) -> int:
    """Run filters as the kernel would, which takes the strictest answer."""
    answers = [answer_of_one(code, architecture, number, *arguments) for code in codes]
    return KILL if KILL in answers else min(answers)


def answer_of_one(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(a & (2**64 - 1) for a in padded))
    program = list(struct.iter_unpack("<HBBI", code))
    at = value = 0
    while True:
        operation, yes, no, constant = program[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        elif operation == 0x54:
            value &= constant
        elif operation == 0x06:
            return constant
        else:
            true = {
                0x15: value == constant,
                0x35: value >= constant,
                0x45: value & constant != 0,
            }[operation]
            at += yes if true else no


@pytest.mark.parametrize("may_open", [True, False])
@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_the_filter_lets_through_what_programs_need(machine: str, may_open: bool) -> None:
    code, architecture, numbers = (
        build_filters(may_open, machine),
        ARCHITECTURES[machine],
        MACHINES[machine],
    )
    for name in ("read", "write", "mmap", "munmap", "brk", "lseek", "exit_group", "fstat"):
        assert answer(code, architecture, numbers[name]) == ALLOW, name
    opened = answer(code, architecture, numbers["openat"], -100, 1, READING)
    assert opened == (ALLOW if may_open else REFUSE)
    for flags in (WRITING, PATH_ONLY, 0o100, 0o1000, 0o20200000):
        assert answer(code, architecture, numbers["openat"], -100, 1, flags) == REFUSE


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_the_filter_refuses_everything_else(machine: str) -> None:
    code, architecture, numbers = (
        build_filters(True, machine),
        ARCHITECTURES[machine],
        MACHINES[machine],
    )
    allowed = {n for n in range(1024) if answer(code, architecture, n) == ALLOW}
    assert allowed <= set(numbers.values())
    guards = ("seccomp", "prctl", "personality", "capset", "landlock_restrict_self")
    assert not allowed & {numbers[name] for name in guards}
    assert SOCKETS[machine] not in allowed and not allowed & set(FORKS[machine])
    assert all(answer(code, architecture, n) in (ALLOW, REFUSE) for n in range(1024))


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_the_filter_reads_arguments(machine: str) -> None:
    code, architecture, numbers = (
        build_filters(True, machine),
        ARCHITECTURES[machine],
        MACHINES[machine],
    )

    def asked(name: str, *arguments: int) -> int:
        return answer(code, architecture, numbers[name], *arguments)

    assert asked("fcntl", 1, 1) == ALLOW
    assert asked("fcntl", 1, 8) == REFUSE
    assert asked("futex", 0, 0x80 | 9) == ALLOW
    assert asked("futex", 0, 6) == REFUSE
    assert asked("prlimit64", 0, 7, 0, 1) == ALLOW
    assert asked("prlimit64", 5, 7, 0, 1) == REFUSE
    assert asked("prlimit64", 0, 7, 1 << 40, 1) == REFUSE


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_only_what_prepares_a_run_may_fork(machine: str) -> None:
    codes, architecture = build_filters(True, machine), ARCHITECTURES[machine]
    clone, recvmsg, prlimit = (MACHINES[machine][n] for n in ("clone", "recvmsg", "prlimit64"))
    assert answer(codes[:1], architecture, clone, FORK_FLAGS) == ALLOW
    assert answer(codes[:1], architecture, clone, FORK_FLAGS | 0x100) == REFUSE  # shared memory
    assert answer(codes[:1], architecture, recvmsg) == ALLOW
    assert answer(codes[:1], architecture, prlimit, 0, 7, 1 << 40) == ALLOW
    assert answer(codes[:1], architecture, prlimit, 5, 7, 1 << 40) == REFUSE
    assert answer(codes, architecture, clone, FORK_FLAGS) == REFUSE
    assert answer(codes, architecture, recvmsg) == REFUSE


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_foreign_call_formats_kill(machine: str) -> None:
    code = build_filters(True, machine)
    assert answer(code, 0x40000003, 20) == KILL
    assert answer(code, ARCHITECTURES[machine], 0x40000000 + 39) == KILL


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (2, 8), (3, 8), (4, 16), (5, 16), (6, 24)])
def test_landlock_is_asked_for_what_its_version_knows(abi: int, size: int) -> None:
    attributes = ruleset_attributes(abi)
    assert len(attributes) == size
    rights = struct.unpack_from("<Q", attributes)[0]
    assert rights == (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seccomp": False}, "offers no seccomp filters"),
        ({"pidfd": False}, "the kernel has no pidfd_open"),
        ({"machine": "riscv64"}, "knows the system calls of x86_64, aarch64, not riscv64"),
    ],
)
def test_without_the_minimum_nothing_runs(changes: dict[str, object], told: str) -> None:
    lacking = replace(layers(), **changes)
    assert lacking.missing_minimum is not None and told in lacking.missing_minimum
    with pytest.raises(SandboxError, match=f"programs cannot be run safely.*{told}"):
        Sandbox(1, layers=lacking)


def test_a_guard_that_fails_is_no_silent_fallback() -> None:
    with pytest.raises(SandboxError, match="programs cannot be run safely on this machine: "):
        Sandbox(1, layers=replace(layers(), landlock=-1))


def test_without_landlock_programs_open_nothing_and_still_run() -> None:
    with Sandbox(1, layers=replace(layers(), landlock=None)) as sandbox:
        assert sandbox.run("import json, statistics\nprint(json.dumps([1]))").stdout == b"[1]\n"
        result = sandbox.run("import os\nopen(os.__file__)")
        assert b"PermissionError: [Errno 1]" in result.stderr


def test_this_machine_tells_its_layers() -> None:
    here = layers()
    assert isinstance(here, Layers)
    assert here.missing_minimum is None, "the other tests need the guards"
