"""The pool: batches, deadlines, threads, forks, and servers that die."""

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reward_fns.sandbox import Limits, Sandbox, SandboxError, configure_sandbox, shared_sandbox
from reward_fns.sandbox import run as run_shared
from reward_fns.sandbox.batch import NUM_ATTEMPTS

ROOT = Path(__file__).resolve().parents[2]
ECHO = "print(input())"
SLEEPY = "import time\ntime.sleep(0.05)\nprint(input())"
NUM_NURSERIES = 2
FOREVER = "while True:\n    pass"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2) as sandbox:
        yield sandbox


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def servers() -> list[int]:
    """The servers that this process has started, also those inside bubblewrap."""
    found, looked_at = [], children(os.getpid())
    while looked_at:
        pid = looked_at.pop()
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"bwrap" in command[0]:
                looked_at += children(pid)
            elif b"sandbox.server" in b" ".join(command):
                found.append(pid)
    return found


def runs_of(server: int) -> list[int]:
    """What a server's nurseries have forked: templates of programs, and the run of one."""
    return children(server)[NUM_NURSERIES:]


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_batch_comes_back_in_order(sandbox: Sandbox) -> None:
    results = sandbox.run_many([(ECHO, f"{i}") for i in range(50)])
    assert [r and r.stdout for r in results] == [b"%d\n" % i for i in range(50)]
    assert sandbox.counts["ok"] == 50
    assert sandbox.run_many([]) == []


def test_counts_are_by_status(sandbox: Sandbox) -> None:
    limits = Limits(wall_s=0.5, output_bytes=1000, memory_bytes=32 << 20, input_bytes=100)
    programs = (
        "print(1)",
        "1 / 0",
        FOREVER,
        "x = bytearray(1 << 30)",
        "print('x' * 2000)",
        "#" * 101,
    )
    results = sandbox.run_many([(program, "") for program in programs], limits)
    expected = ["ok", "error", "timeout", "memory", "output", "error"]
    assert [r and r.status for r in results] == expected
    assert sandbox.counts == {
        "ok": 1,
        "error": 2,
        "timeout": 1,
        "memory": 1,
        "output": 1,
        "sandbox_error": 0,
        "restarts": 0,
    }


@pytest.mark.parametrize("num_loops", [1, 3])
def test_a_run_that_loops_takes_no_time_from_others(sandbox: Sandbox, num_loops: int) -> None:
    loop_on_zero = "n = int(input())\nwhile n == 0:\n    pass\nprint(n)"
    inputs = ["1", *["0"] * num_loops, "2", "3"]
    limits = Limits(wall_s=0.3)
    results = sandbox.run_many([(loop_on_zero, text) for text in inputs], limits)
    ends = [(r.status, r.stdout) if r else None for r in results]
    assert ends == [("timeout", b"") if t == "0" else ("ok", f"{t}\n".encode()) for t in inputs]
    assert sandbox.counts["restarts"] == 0


def test_servers_killed_in_mid_batch_lose_nothing(sandbox: Sandbox) -> None:
    sandbox.run_many([(ECHO, "1")] * 4)
    killed: list[int] = []

    def kill() -> None:
        for _ in range(NUM_ATTEMPTS - 1):
            time.sleep(0.2)
            for pid in servers():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    results = sandbox.run_many([(SLEEPY, f"{i}") for i in range(40)])
    killer.join()
    assert [r and r.stdout for r in results] == [b"%d\n" % i for i in range(40)]
    assert len(set(killed)) >= NUM_ATTEMPTS - 1
    assert sandbox.counts["restarts"] >= NUM_ATTEMPTS - 1
    assert sandbox.counts["sandbox_error"] == 0
    assert len(servers()) <= 2


def test_a_server_killed_during_a_run_is_replaced(sandbox: Sandbox) -> None:
    sandbox.run(ECHO, "1")
    threading.Timer(0.3, lambda: [os.kill(p, signal.SIGKILL) for p in servers()]).start()
    assert sandbox.run("import time\ntime.sleep(0.6)\nprint('done')").stdout == b"done\n"
    assert sandbox.counts["restarts"] == 1


def test_a_program_killed_from_outside_is_run_again(sandbox: Sandbox) -> None:
    (server,) = servers()

    def kill_the_program() -> None:
        os.kill(runs_of(server)[-1], signal.SIGKILL)

    threading.Timer(0.3, kill_the_program).start()
    assert sandbox.run("import time\ntime.sleep(0.6)\nprint('done')").status == "ok"
    assert sandbox.counts["restarts"] == 0


def test_what_fails_again_and_again_is_given_up(sandbox: Sandbox) -> None:
    stop = threading.Event()

    def kill_programs() -> None:
        while not stop.wait(0.02):
            for server in servers():
                for pid in runs_of(server):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_programs)
    killer.start()
    try:
        slow = "import time\ntime.sleep(3)"
        with pytest.raises(SandboxError, match="3 attempts failed, the last one: "):
            sandbox.run(slow)
        assert sandbox.run_many([(slow, "")]) == [None]
    finally:
        stop.set()
        killer.join()
    assert sandbox.counts["sandbox_error"] == 2
    assert sandbox.run(ECHO, "fine").stdout == b"fine\n"


def test_a_stopped_server_is_replaced(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_fns.sandbox.connection.GRACE_S", 0.2)
    os.kill(servers()[0], signal.SIGSTOP)
    assert sandbox.run(ECHO, "1", Limits(wall_s=1.0)).stdout == b"1\n"
    assert sandbox.counts["restarts"] == 1


def test_many_threads_share_a_pool(sandbox: Sandbox) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(10):
            text = f"{number} {turn}"
            if turn % 2:
                answers = [sandbox.run(ECHO, text)]
            else:
                answers = list(sandbox.run_many([(ECHO, text)] * 3))
            wrong.extend(a for a in answers if a is None or a.stdout != f"{text}\n".encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert sandbox.counts["ok"] == 6 * (5 + 15)
    assert eventually(lambda: len(servers()) == 2), "a thread that ends hands on its children"


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    gc.collect()
    descriptors = set(os.listdir("/proc/self/fd"))
    sandbox = Sandbox(2)
    sandbox.run_many([(SLEEPY, "1")] * 4)
    assert len(servers()) == 2
    sandbox.close()
    sandbox.close()
    assert servers() == []
    assert set(os.listdir("/proc/self/fd")) <= descriptors  # another test's may have gone
    with pytest.raises(SandboxError, match="this sandbox is closed"):
        sandbox.run(ECHO, "1")


def test_closing_ends_what_still_runs(sandbox: Sandbox) -> None:
    sandbox.run(ECHO, "1")
    failed: list[BaseException] = []

    def wait_for_ever() -> None:
        try:
            sandbox.run(FOREVER, limits=Limits(wall_s=60.0, cpu_s=60))
        except SandboxError as error:
            failed.append(error)

    thread = threading.Thread(target=wait_for_ever)
    thread.start()
    time.sleep(0.2)
    sandbox.close()
    thread.join(10)
    assert len(failed) == 1 and servers() == []


def test_a_forgotten_pool_ends_its_servers() -> None:
    sandbox = Sandbox(1)
    assert len(servers()) == 1
    del sandbox
    assert eventually(lambda: servers() == [])


CLIENT = f"""
import os, sys, threading, time
from reward_fns.sandbox import Limits, Sandbox
from tests.unit.test_sandbox_pool import children, servers
sandbox = Sandbox(1)
run = lambda: sandbox.run({FOREVER!r}, limits=Limits(wall_s=100.0, cpu_s=100))
threading.Thread(target=run, daemon=True).start()
time.sleep(0.5)
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(100)
print(servers()[0], children(servers()[0])[-1], flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_servers_and_programs_die_with_their_client(how: str) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert client.stdout is not None
    server, program = map(int, client.stdout.readline().split())
    try:
        assert alive(server) and alive(program)
        client.kill()
        assert eventually(lambda: not alive(server) and not alive(program))
    finally:
        os.killpg(client.pid, signal.SIGKILL)
        client.wait()
        client.stdout.close()


def test_a_program_dies_with_its_server(sandbox: Sandbox) -> None:
    seen: list[int] = []

    def kill() -> None:
        time.sleep(0.3)
        (server,) = servers()
        seen.extend(children(server))
        os.kill(server, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    sandbox.run("import time\ntime.sleep(1)\nprint(1)")
    thread.join()
    assert len(seen) == NUM_NURSERIES + 2
    assert eventually(lambda: not any(map(alive, seen)))


def test_a_server_inherits_no_descriptor_and_no_environment(monkeypatch) -> None:
    monkeypatch.setenv("CLUTCH_TEST_SECRET", "x")
    leaked = os.dup(0)
    os.set_inheritable(leaked, True)
    with Sandbox(1):
        (server,) = servers()
        links = {os.readlink(f"/proc/{server}/fd/{n}") for n in os.listdir(f"/proc/{server}/fd")}
        environment = Path(f"/proc/{server}/environ").read_bytes()
    os.close(leaked)
    kinds = {link.partition(":")[0] for link in links}
    assert kinds <= {"/dev/null", "socket", "anon_inode"}
    assert b"CLUTCH" not in environment and b"HOME" not in environment


def test_unsafe_mode_leaves_no_process_behind() -> None:
    daemon = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        time.sleep(100)\n    time.sleep(100)\n"
        "print('left two')"
    )
    with Sandbox(1, "unsafe") as sandbox:
        assert sandbox.run(daemon).stdout == b"left two\n"
        (server,) = servers()
        assert len(runs_of(server)) == 1, "the template"


def in_a_fork(question: str, answers: "multiprocessing.SimpleQueue[bytes]") -> None:
    answers.put(shared_sandbox().run(ECHO, question).stdout)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_a_shared_pool_of_its_own() -> None:
    configure_sandbox(1)
    try:
        assert run_shared(ECHO, "parent").stdout == b"parent\n"
        before = servers()
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=in_a_fork, args=("child", answers))
        child.start()
        assert answers.get() == b"child\n"
        child.join(30)
        assert child.exitcode == 0
        assert run_shared(ECHO, "parent again").stdout == b"parent again\n"
        assert servers() == before
    finally:
        shared_sandbox().close()
        configure_sandbox()


def test_the_shared_pool_can_be_configured() -> None:
    configure_sandbox(1, "unsafe")
    try:
        assert shared_sandbox().mode == "unsafe" and shared_sandbox().num_servers == 1
        first = shared_sandbox()
        configure_sandbox(1, "unsafe")
        assert shared_sandbox() is first
        with pytest.raises(ValueError, match="mode is 'none'"):
            configure_sandbox(1, "none")
        configure_sandbox(1)
        assert shared_sandbox().mode == "guarded" and first is not shared_sandbox()
    finally:
        shared_sandbox().close()
        configure_sandbox()
