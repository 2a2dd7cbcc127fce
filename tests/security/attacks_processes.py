"""Attacks by processes, signals and debugging: start something, end something, read something."""

from reward_fns.sandbox import Limits
from tests.security.attack import attack

ATTACKS = (
    attack(
        "fork_bomb",
        """
def bomb():
    for _ in range(2000):
        if os.fork() == 0:
            while True:
                os.fork()
attempt("fork", bomb)
attempt("forkpty", os.forkpty)
""",
    ),
    attack("fork", 'attempt("fork", os.fork)', works_unguarded=True),
    attack(
        "raw_fork",
        """
attempt("clone", lambda: raw("clone", 17, 0, 0, 0, 0))
attempt("clone of everything", lambda: raw("clone", 0x7e020000 | 17, 0, 0, 0, 0))
attempt("clone of the parent", lambda: raw("clone", 0x8000 | 17, 0, 0, 0, 0))
attempt("clone3", lambda: raw("clone3", ctypes.create_string_buffer(88), 88))
if "vfork" in scene["numbers"]:
    attempt("vfork", lambda: raw("vfork"))
""",
    ),
    attack(
        "daemon",
        """
import time
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1)
            open(scene["open_folder"] + "/daemon", "w").write("here")
            time.sleep(60)
        os._exit(0)
attempt("daemon", daemon)
""",
    ),
    attack(
        "shell",
        """
def run():
    import subprocess
    return subprocess.run(["/bin/sh", "-c", "id"], capture_output=True)
attempt("run", run)
attempt("in C", lambda: libc.system(b"true") == 0 or 1 / 0)
attempt("pipe in C", lambda: libc.popen(b"id", b"r") or 1 / 0)
attempt("popen", lambda: os.popen("id").read())
def system():
    if os.system("true") != 0:
        raise OSError
attempt("system", system)
attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
""",
    ),
    attack(
        "exec",
        """
attempt("execv", lambda: os.execv("/bin/true", ["true"]))
attempt("execve", lambda: raw("execve", b"/bin/true", None, None))
attempt("of the output", lambda: (os.write(1, b"#!/bin/sh\\n"), os.execv(1, ["x"])))
attempt("execveat", lambda: raw("execveat", 0, b"", None, None, 0x1000))
python = sys.executable
attempt("interpreter", lambda: os.execv(python, [python, "-c", "print('ACHIEVED')"]))
""",
    ),
    attack(
        "threads",
        """
import threading, _thread
def start(number):
    for _ in range(number):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
attempt("threads", lambda: start(500))
attempt("thread", lambda: _thread.start_new_thread(print, ("ACHIEVED in a thread",)))
""",
    ),
    attack(
        "multiprocessing",
        """
import multiprocessing
def many():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [1, 2])
attempt("pool", many)
""",
    ),
    attack("zombie", 'attempt("zombie", lambda: os.fork() or os._exit(0))'),
    attack(
        "signal_server",
        """
import signal
for number in (0, signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
    attempt(f"server {number}", lambda: os.kill(os.getppid(), number))
    attempt(f"group {number}", lambda: os.killpg(os.getpgid(os.getppid()), number))
    attempt(f"raw {number}", lambda: raw("kill", os.getppid(), int(number)))
    attempt(f"tgkill {number}", lambda: raw("tgkill", os.getppid(), os.getppid(), int(number)))
""",
    ),
    attack(
        "signal_others",
        """
import signal
for process in (scene["client"], scene["victim"], 1, 0, -1):
    for number in (0, signal.SIGSTOP, signal.SIGKILL):
        attempt(f"{process} {number}", lambda: os.kill(process, number))
attempt("queue", lambda: raw("rt_sigqueueinfo", scene["victim"], 9, buffer))
attempt("pidfd", lambda: raw("pidfd_open", scene["victim"], 0))
attempt("pidfd of the server", lambda: signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9))
""",
    ),
    attack(
        "signal_by_owner",
        """
for process in (os.getppid(), scene["victim"], -os.getppid()):
    for descriptor in (0, 1, 2):
        attempt("owner", lambda: raw("fcntl", descriptor, 8, process))
        attempt("signal", lambda: raw("fcntl", descriptor, 10, 9))
        attempt("asynchronous", lambda: raw("fcntl", descriptor, 4, 0o20000))
        attempt("lease", lambda: raw("fcntl", descriptor, 1024, 0))
        attempt("notification", lambda: raw("fcntl", descriptor, 1026, 1))
        attempt("seal", lambda: raw("fcntl", descriptor, 1033, 15))
""",
    ),
    attack(
        "outlive_the_server",
        """
attempt("no death signal", lambda: raw("prctl", 1, 0, 0, 0, 0))
attempt("subreaper", lambda: raw("prctl", 36, 1, 0, 0, 0))
attempt("session", os.setsid)
attempt("group", lambda: os.setpgid(0, os.getpgid(os.getppid())))
""",
    ),
    attack(
        "own_death_is_an_error",
        """
import signal
for number in (9, 15, 19, 2, 1):
    attempt(f"kill {number}", lambda: os.kill(os.getpid(), number))
    attempt(f"raise {number}", lambda: signal.raise_signal(number))
    attempt(f"tgkill {number}", lambda: raw("tgkill", os.getpid(), os.getpid(), number))
""",
    ),
    attack(
        "ptrace",
        """
for process in (os.getppid(), scene["client"], scene["victim"]):
    attempt("attach", lambda: raw("ptrace", 16, process, 0, 0))
    attempt("seize", lambda: raw("ptrace", 0x4206, process, 0, 0))
attempt("traceme", lambda: raw("ptrace", 0, 0, 0, 0))
""",
    ),
    attack(
        "memory_of_others",
        """
buffer = ctypes.create_string_buffer(64)
local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
address = id(os)
remote = (ctypes.c_void_p * 2)(address, 64)
for process in (os.getppid(), scene["client"], scene["victim"]):
    attempt("read", lambda: raw("process_vm_readv", process, local, 1, remote, 1, 0))
    attempt("write", lambda: raw("process_vm_writev", process, local, 1, remote, 1, 0))
    attempt("mem", lambda: open(f"/proc/{process}/mem", "rb"))
    attempt("compare", lambda: raw("kcmp", os.getpid(), process, 1, 0, 0))
""",
    ),
    attack(
        "descriptors_of_others",
        """
for process in (os.getppid(), scene["client"]):
    attempt("pidfd", lambda: raw("pidfd_getfd", raw("pidfd_open", process, 0), 0, 0))
    attempt("proc", lambda: os.listdir(f"/proc/{process}/fd"))
    for number in range(10):
        attempt(f"fd {number}", lambda: os.open(f"/proc/{process}/fd/{number}", os.O_RDWR))
""",
    ),
    attack(
        "limits_of_others",
        """
import resource
attempt("server", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (8, 8)))
attempt("client", lambda: resource.prlimit(scene["client"], resource.RLIMIT_NOFILE, (8, 8)))
attempt("raw", lambda: raw("prlimit64", scene["client"], 7, (ctypes.c_ulong * 2)(8, 8), None))
attempt("read", lambda: resource.prlimit(scene["client"], resource.RLIMIT_NOFILE))
""",
    ),
    attack(
        "own_limits",
        """
import resource
for name in ("AS", "CPU", "FSIZE", "NOFILE", "CORE"):
    limit = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(limit)
    attempt("raise", lambda: resource.setrlimit(limit, (-1, -1)))
    attempt("raise softly", lambda: resource.setrlimit(limit, (hard, hard)))
""",
    ),
    attack(
        "priority",
        """
attempt("nice", lambda: os.nice(-5))
attempt("client", lambda: os.setpriority(os.PRIO_PROCESS, scene["client"], 19))
attempt("raw", lambda: raw("setpriority", 0, scene["client"], 19))
attempt("real time", lambda: raw("sched_setscheduler", 0, 1, (ctypes.c_int * 1)(50)))
attempt("affinity", lambda: os.sched_setaffinity(0, {0}))
""",
    ),
    attack(
        "ignore_the_end",
        """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
""",
        "timeout",
        limits=Limits(wall_s=10.0, cpu_s=1),
    ),
)
