"""What attacks are aimed at, and whether any of it was touched.

A scene is real: files, listening sockets, a process to signal, and a secret in the environment of
the process that runs the sandbox.
"""

import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SECRET = "token-of-the-host-3f9c"
LIBRARY_FILE = os.__file__

_X86_64 = {
    "open": 2, "stat": 4, "fstat": 5, "ioctl": 16, "shmget": 29, "socket": 41, "clone": 56,
    "vfork": 58, "execve": 59, "kill": 62, "uname": 63, "fcntl": 72, "flock": 73, "ptrace": 101,
    "setuid": 105, "capset": 126, "rt_sigqueueinfo": 129, "personality": 135,
    "setpriority": 141, "sched_setscheduler": 144, "prctl": 157, "chroot": 161,
    "mount": 165, "sethostname": 170, "tgkill": 234, "mq_open": 240, "add_key": 248,
    "openat": 257, "newfstatat": 262, "unshare": 272, "fallocate": 285,
    "perf_event_open": 298, "prlimit64": 302, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "kcmp": 312, "seccomp": 317, "memfd_create": 319, "bpf": 321,
    "execveat": 322, "userfaultfd": 323, "statx": 332, "pidfd_send_signal": 424,
    "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "openat2": 437,
    "pidfd_getfd": 438, "process_madvise": 440, "landlock_restrict_self": 446,
    "memfd_secret": 447,
}  # fmt: skip
_AARCH64 = {
    "fcntl": 25, "ioctl": 29, "flock": 32, "mount": 40, "fallocate": 47, "chroot": 51,
    "openat": 56, "newfstatat": 79, "fstat": 80, "capset": 91, "personality": 92,
    "unshare": 97, "uname": 160, "ptrace": 117,
    "sched_setscheduler": 119, "kill": 129, "tgkill": 131,
    "rt_sigqueueinfo": 138, "setpriority": 140, "setuid": 146, "sethostname": 161,
    "prctl": 167, "mq_open": 180, "shmget": 194, "socket": 198, "add_key": 217,
    "clone": 220, "execve": 221, "perf_event_open": 241, "prlimit64": 261,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268,
    "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "seccomp": 277,
    "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282, "statx": 291,
    "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
    "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440,
    "landlock_restrict_self": 446, "memfd_secret": 447,
}  # fmt: skip
NUMBERS = {"x86_64": _X86_64, "aarch64": _AARCH64}


class Scene:
    """Targets in a folder of their own; `damage` tells what became of them."""

    def __init__(self, folder: Path) -> None:
        assert os.environ["CLUTCH_TEST_SECRET"] == SECRET, "it is there from the start"
        self.folder = folder
        self.open_folder = folder / "open"
        self.open_folder.mkdir()
        self.open_folder.chmod(0o777)
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET)
        self.host_file = folder / "host.txt"
        self.host_file.write_text("as it was")
        self.flipping = folder / "flipping"
        self.flipping.symlink_to(LIBRARY_FILE)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract_name = f"clutch-{os.getpid()}"
        self.abstract.bind(f"\0{self.abstract_name}")
        self.abstract.listen()
        self.named = socket.socket(socket.AF_UNIX)
        self.named.bind(str(folder / "socket"))
        self.named.listen()
        self.victim = subprocess.Popen([sys.executable, "-S", "-c", "import time\ntime.sleep(999)"])
        self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.priority = os.getpriority(os.PRIO_PROCESS, 0)
        self.num_shared_memories = _num_shared_memories()

    def description(self) -> Mapping[str, object]:
        """What an attack is told, as JSON on stdin."""
        return {
            "secret_text": SECRET,
            "secret": str(self.secret),
            "host_file": str(self.host_file),
            "open_folder": str(self.open_folder),
            "folder": str(self.folder),
            "flipping": str(self.flipping),
            "library_file": LIBRARY_FILE,
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "abstract": self.abstract_name,
            "named": str(self.folder / "socket"),
            "client": os.getpid(),
            "victim": self.victim.pid,
            "numbers": NUMBERS[os.uname().machine],
            "machine": os.uname().machine,
        }

    def damage(self) -> list[str]:
        """Everything that an attack has changed; the next attack finds the scene as it was."""
        found = []
        readers = (self.tcp, self.udp, self.abstract, self.named)
        ready, _, _ = select.select(readers, [], [], 0)
        for reader in ready:
            found.append(f"{reader.getsockname()!r} was reached")
            reader.accept()[0].close() if reader is not self.udp else reader.recv(4096)
        if self.host_file.read_text() != "as it was":
            found.append("the host's file was written")
            self.host_file.write_text("as it was")
        if made := sorted(os.listdir(self.open_folder)):
            found.append(f"files were made: {made}")
            for name in made:
                os.unlink(self.open_folder / name)
        names = {"open", "secret.txt", "host.txt", "flipping", "socket"}
        if (there := set(os.listdir(self.folder))) != names:
            found.append(f"the folder holds {sorted(there)}")
        if self.victim.poll() is not None or _state(self.victim.pid) == "T":
            found.append("the victim was signalled")
            self.victim.kill()
        if resource.getrlimit(resource.RLIMIT_NOFILE) != self.limits:
            found.append("the client's limits were changed")
        if os.getpriority(os.PRIO_PROCESS, 0) != self.priority:
            found.append("the client's priority was changed")
        if _num_shared_memories() != self.num_shared_memories:
            found.append("shared memory was left behind")
        return found

    def flip(self, seconds: float) -> None:
        """Turn a symlink between a file that may be read and the secret, again and again."""
        end, other = time.monotonic() + seconds, self.folder / "flipping.new"
        while time.monotonic() < end:
            for target in (self.secret, LIBRARY_FILE):
                other.symlink_to(target)
                other.rename(self.flipping)

    def close(self) -> None:
        """Take the scene down."""
        self.victim.kill()
        self.victim.wait()
        for listener in (self.tcp, self.udp, self.abstract, self.named):
            listener.close()


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def _num_shared_memories() -> int:
    try:
        return len(Path("/proc/sysvipc/shm").read_text().splitlines())
    except OSError:
        return 0
