"""Programs that tests/chaos/test_checkpoint_kill.py starts and kills.

They fork children that save, kill them with SIGKILL, and check what is left after each death.
`lines`: one death before each line of code that a save executes. `states` and `journals`: deaths
after stepped times, also in the middle of a write.
"""

import ctypes
import json
import os
import platform
import shutil
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from trainers import checkpoint, folders
from trainers.checkpoint import load_state, save_state
from trainers.folders import save_folder, verify_folder
from trainers.rollout_log import Rollout, RolloutLog, read_rollouts

TRACED = {checkpoint.__file__, folders.__file__}
NUM_FLOATS = 1000


def save(root: Path, step: int, num_floats: int = NUM_FLOATS) -> None:
    """Save a state whose content follows from its step; keep one."""
    tensors = {"w": torch.full((num_floats,), float(step))}
    save_state(root, step, tensors, {"cursor": step}, keep=1)


def loaded_step(root: Path) -> int:
    """Load the state without a warning, check its content, and return its step."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_state(root)
    assert loaded is not None, "no state is left"
    assert bool((loaded.tensors["w"] == loaded.step).all())
    assert loaded.state == {"cursor": loaded.step}
    return loaded.step


def kill_before_line(number: int) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that kills this process before the number-th traced line."""
    left = number

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def survives(action: Callable[[], None], number: int) -> bool:
    """Run `action` in a child that is killed before its number-th line; True if it finished."""
    child = os.fork()
    if child == 0:
        sys.settrace(kill_before_line(number))
        action()
        sys.settrace(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return status == 0


def forbid_exchange() -> None:
    """Make renameat2 with a flag fail with EINVAL, as on file systems without exchange."""
    number = {"x86_64": 316, "aarch64": 276}[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06
    program = [
        (load, 0, 0, 0),  # the call's number
        (equal, 0, 3, number),
        (load, 0, 0, 16 + 8 * 4),  # its fifth argument, the flags
        (equal, 1, 0, 0),
        (give, 0, 0, 0x00050000 | 22),  # EINVAL
        (give, 0, 0, 0x7FFF0000),  # go on
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    filters = ctypes.create_string_buffer(code)
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, header) == 0, ctypes.get_errno()  # PR_SET_SECCOMP


def kill_at_each_line(root: Path, case: str) -> list[str]:
    """Return what each death left: the names in the folder and the step that loads."""
    outcomes: dict[str, None] = {}
    number, finished = 0, False
    while not finished:
        shutil.rmtree(root, ignore_errors=True)
        finished = CASES[case](root, number, outcomes)
        number += 1
    return [f"{number - 1} lines", *outcomes]


def next_state(root: Path, number: int, outcomes: dict[str, None]) -> bool:
    save(root, 10)
    finished = survives(lambda: save(root, 20), number)
    outcomes[f"{entries(root)} loads {loaded_step(root)}"] = None
    save(root, 20)
    assert entries(root) == "latest step-000020"
    return finished


def same_state(root: Path, number: int, outcomes: dict[str, None]) -> bool:
    save(root, 10)
    finished = survives(lambda: save(root, 10), number)
    outcomes[f"{entries(root)} loads {loaded_step(root)}"] = None
    save(root, 10)
    assert entries(root) == "latest step-000010"
    return finished


def first_state(root: Path, number: int, outcomes: dict[str, None]) -> bool:
    finished = survives(lambda: save(root, 10), number)
    loaded = load_state(root)
    assert loaded is None or loaded.step == 10
    outcomes[f"{entries(root)} loads {loaded and loaded.step}"] = None
    save(root, 20)
    assert entries(root) == "latest step-000020"
    return finished


def model_folder(root: Path, number: int, outcomes: dict[str, None]) -> bool:
    def publish(name: str) -> None:
        save_folder(root / "sft", lambda folder: write_files(folder, name), {"of": name})

    publish("old")
    finished = survives(lambda: publish("new"), number)
    left = entries(root)
    name = verify_folder(root / "sft")["meta"]["of"]
    assert (root / "sft" / "content").read_text() == name
    outcomes[f"{left} holds {name}"] = None
    publish("new")
    assert entries(root) == "sft"
    return finished


def write_files(folder: Path, name: str) -> None:
    (folder / "content").write_text(name)


def entries(root: Path) -> str:
    """Return the names in a folder, without the random part of temporary ones."""
    if not root.exists():
        return ""
    names = (path.name for path in root.iterdir())
    return " ".join(sorted(n[:-9] if n.startswith(".tmp-") else n for n in names))


CASES = {
    "next_state": next_state,
    "same_state": same_state,
    "first_state": first_state,
    "model_folder": model_folder,
}


def run_until_killed(action: Callable[[int], None], delay_s: float) -> bytes:
    """Run `action(pipe)` in a child, kill it after `delay_s`, and return what it piped."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        action(writer)
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)  # the child is at work
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    with os.fdopen(reader, "rb") as pipe:
        return pipe.read()


def kill_saving(root: Path) -> dict[str, int]:
    """Kill a process that saves 16 MB again and again; no state that it reported is lost."""
    save(root, 1)
    begin = time.monotonic()
    save(root, 2, num_floats=4_000_000)
    save_s = time.monotonic() - begin
    step, num_partial = 2, 0
    for attempt in range(30):

        def save_on(pipe: int, first: int = step + 1) -> None:
            os.write(pipe, b".")
            for number in range(first, first + 10_000):
                save(root, number, num_floats=4_000_000)
                os.write(pipe, b"+")

        reported = step + len(run_until_killed(save_on, delay_s=save_s * attempt / 10))
        num_partial += ".tmp-" in entries(root)
        step = loaded_step(root)
        assert reported <= step <= reported + 1, (reported, step)
    save(root, step + 1)
    assert entries(root) == f"latest step-{step + 1:06d}"
    return {"steps": step, "partial": num_partial}


def kill_logging(root: Path) -> dict[str, int]:
    """Kill a process that logs rollouts; after each death the log is cut to a state's offset."""
    path, num_kept, num_torn = root / "grpo-rank0.jsonl", 0, 0
    for attempt in range(20):

        def log_on(pipe: int, first: int = num_kept) -> None:
            log = RolloutLog(path)
            os.write(pipe, b".")
            for number in range(first, first + 10_000_000):
                log.append_rollouts([rollout(number)])
                if number % 1000 == 0:
                    log.flush()

        run_until_killed(log_on, delay_s=0.002 * attempt)
        num_torn += not path.read_bytes().endswith(b"\n")
        with RolloutLog(path) as log:
            found = [row["sample"] for row in read_rollouts(path, 0, log.num_lines + 1)]
            assert found == list(range(log.num_lines))
            num_kept = log.num_lines // 2
            log.truncate(line_end(path, num_kept))
            assert log.num_lines == num_kept
    return {"lines": num_kept, "torn": num_torn}


def rollout(number: int) -> Rollout:
    return Rollout(0, "sat-0", number, "x" * 5000, [1], [-0.5], 1.0, "correct", 0.5, 0)


def line_end(path: Path, num_lines: int) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    return sum(map(len, lines[:num_lines]))


def main() -> None:
    program, root, *arguments = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    if program == "states":
        print(json.dumps(kill_saving(root)))
    elif program == "journals":
        print(json.dumps(kill_logging(root)))
    else:
        exchange, *cases = arguments
        if exchange == "without-exchange":
            forbid_exchange()
        print(json.dumps({case: kill_at_each_line(root / case, case) for case in cases}))


if __name__ == "__main__":
    main()
