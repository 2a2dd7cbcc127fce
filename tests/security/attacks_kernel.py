"""Attacks on the kernel and the network: sockets, namespaces, privileges, and the guards."""

from tests.security.attack import attack

ATTACKS = (
    attack(
        "tcp",
        """
import socket
attempt("connect", lambda: socket.create_connection(("127.0.0.1", scene["tcp"]), 2))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
""",
        works_unguarded=True,
    ),
    attack(
        "udp",
        """
import socket
target = ("127.0.0.1", scene["udp"])
attempt("send", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", target))
""",
        works_unguarded=True,
    ),
    attack(
        "abstract_unix",
        """
import socket
attempt("connect", lambda: socket.socket(socket.AF_UNIX).connect("\\0" + scene["abstract"]))
""",
        works_unguarded=True,
    ),
    attack(
        "named_unix",
        """
import socket
attempt("connect", lambda: socket.socket(socket.AF_UNIX).connect(scene["named"]))
""",
        works_unguarded=True,
    ),
    attack(
        "other_sockets",
        """
import socket
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16, 17, 38, 40, 44):
    for kind in (1, 2, 3, 5):
        attempt(f"{family} {kind}", lambda: raw("socket", family, kind, 0))
attempt("pair", socket.socketpair)
attempt("asyncio", lambda: __import__("asyncio").new_event_loop())
""",
    ),
    attack(
        "name_lookup",
        """
import socket
attempt("lookup", lambda: socket.getaddrinfo("example.org", 80))
attempt("host name", socket.gethostname)
attempt("raw", lambda: raw("uname", buffer))
attempt("uname", lambda: [1][os.uname().nodename == "localhost"])
""",
    ),
    attack(
        "web",
        """
def fetch():
    import urllib.request
    return urllib.request.urlopen(f"http://127.0.0.1:{scene['tcp']}/", timeout=2)
attempt("fetch", fetch)
""",
    ),
    attack(
        "namespaces",
        """
for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x04000000, 0x08000000, 0x7e020000):
    attempt(f"unshare {flag:x}", lambda: raw("unshare", flag))
attempt("setns", lambda: raw("setns", 0, 0))
""",
        works_unguarded=False,
    ),
    attack(
        "mounts",
        """
attempt("mount", lambda: raw("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("bind", lambda: raw("mount", b"/", b"/mnt", None, 4096, None))
attempt("chroot", lambda: os.chroot("/tmp"))
attempt("raw chroot", lambda: raw("chroot", b"/"))
""",
    ),
    attack(
        "io_uring",
        """
attempt("setup", lambda: raw("io_uring_setup", 8, ctypes.create_string_buffer(120)))
""",
    ),
    attack(
        "kernel_doors",
        """
buffer = ctypes.create_string_buffer(256)
attempt("bpf", lambda: raw("bpf", 0, buffer, 72))
attempt("userfaultfd", lambda: raw("userfaultfd", 1))
attempt("perf", lambda: raw("perf_event_open", buffer, 0, -1, -1, 0))
attempt("key", lambda: raw("add_key", b"user", b"x", b"y", 1, -3))
attempt("process_madvise", lambda: raw("process_madvise", 0, buffer, 1, 21, 0))
attempt("personality", lambda: raw("personality", 0xffffffff))
""",
    ),
    attack(
        "privileges",
        """
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)(*[0xffffffff] * 6)
attempt("capset", lambda: raw("capset", header, data))
attempt("setuid", lambda: os.setuid(0))
attempt("setresuid", lambda: os.setresuid(0, 0, 0))
attempt("setgroups", lambda: os.setgroups([0]))
attempt("raw setuid", lambda: raw("setuid", 0))
attempt("host name", lambda: raw("sethostname", b"x", 1))
attempt("clock", lambda: __import__("time").clock_settime(0, 0))
""",
    ),
    attack(
        "take_the_guards_off",
        """
import struct
allow = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7fff0000))
program = struct.pack("<HxxxxxxQ", 1, ctypes.addressof(allow))
attempt("filter", lambda: raw("seccomp", 1, 0, program))
attempt("strict", lambda: raw("seccomp", 0, 0, None))
attempt("prctl", lambda: raw("prctl", 22, 0, 0, 0, 0))
attempt("dumpable", lambda: raw("prctl", 4, 1, 0, 0, 0))
attempt("new privileges", lambda: raw("prctl", 38, 0, 0, 0, 0))
attempt("landlock", lambda: raw("landlock_restrict_self", -1, 0))
""",
    ),
    attack(
        "foreign_call_format",
        """
import mmap
code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid for 32 bit); int 0x80; ret
if scene["machine"] == "x86_64":
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    attempt("32 bit", lambda: ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 or 1 / 0)
""",
    ),
    attack(
        "x32_call_format",
        """
if scene["machine"] == "x86_64":
    attempt("getpid", lambda: raw(0x40000000 + 39))
    attempt("socket", lambda: raw(0x40000000 + 41, 1, 1, 0))
""",
    ),
    attack(
        "objects_that_stay",
        """
attempt("shared memory", lambda: raw("shmget", 0, 4096, 0o1600))
attempt("message queue", lambda: raw("mq_open", b"clutch", 0o102, 0o600, None))
attempt("posix shared memory", lambda: libc.shm_open(b"/clutch", 0o102, 0o600) >= 0 or 1 / 0)
attempt("semaphore", lambda: __import__("multiprocessing").Lock())
""",
    ),
    attack(
        "every_system_call",
        """
harmless = {0, 1, 3, 5, 8, 10, 11, 12, 13, 14, 15, 20, 25, 28, 32, 33, 34, 35, 36, 37, 38, 39, 60,
            72, 79, 96, 98, 100, 102, 104, 107, 108, 110, 127, 128, 130, 131, 186, 201, 202, 219,
            228, 229, 230, 231, 257, 270, 271, 292, 302, 309, 318, 7, 9, 17, 19, 23, 24,
            335, 336}  # a probe's return: kernels let these through, and kill who calls them so
if scene["machine"] == "x86_64":
    for number in range(500):
        if number not in harmless:
            result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
            if result != -1 or ctypes.get_errno() != 1:
                print("ACHIEVED call", number, result, ctypes.get_errno())
""",
    ),
)
