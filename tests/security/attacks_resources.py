"""Attacks on resources: memory, time, output and the stack."""

from reward_fns.sandbox import Limits
from tests.security.attack import attack

SHORT = Limits(wall_s=0.4)
SLEEPY = Limits(wall_s=0.3)
SMALL = Limits(wall_s=10.0, memory_bytes=64 << 20)

ATTACKS = (
    attack("memory_list", "x = [0]\nwhile True:\n    x += x", "memory", limits=SMALL),
    attack("memory_bytes", "x = b'x' * (1 << 40)", "memory", limits=SMALL),
    attack(
        "memory_maps",
        """
import mmap
maps = []
try:
    while len(maps) < 10000:
        maps.append(mmap.mmap(-1, 1 << 20))
        maps[-1][0] = 1
except OSError:
    pass
if len(maps) > 64:
    print("ACHIEVED", len(maps), "MB")
""",
        limits=SMALL,
    ),
    attack(
        "memory_stubborn",
        """
kept = []
while True:
    try:
        kept.append(bytearray(1 << 16))
    except MemoryError:
        kept.append(None)
""",
        "timeout",
        "memory",
        limits=Limits(wall_s=2.0, memory_bytes=64 << 20),
    ),
    attack("loop", "while True:\n    pass", "timeout", limits=SHORT),
    attack("loop_in_c", "sum(range(10 ** 12))", "timeout", limits=SHORT),
    attack("big_power", "x = 9 ** 9 ** 9", "timeout", "memory", limits=SHORT),
    attack(
        "slow_pattern", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')", "timeout", limits=SHORT
    ),
    attack("sleep", "import time\ntime.sleep(1000)", "timeout", limits=SLEEPY),
    attack(
        "sleep_in_parts", "import time\nwhile True:\n    time.sleep(0.01)", "timeout", limits=SLEEPY
    ),
    attack(
        "sleep_after_end",
        "import atexit, time\natexit.register(time.sleep, 1000)",
        "timeout",
        limits=SLEEPY,
    ),
    attack(
        "lock_for_ever",
        "import _thread\nx = _thread.allocate_lock()\nx.acquire()\nx.acquire()",
        "timeout",
        limits=SLEEPY,
    ),
    attack(
        "ignore_cpu_limit",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass",
        "timeout",
        limits=Limits(wall_s=10.0, cpu_s=1),
    ),
    attack("recursion", "def f():\n    return f()\nf()", "error"),
    attack(
        "recursion_unlimited",
        "sys.setrecursionlimit(10 ** 9)\ndef f():\n    return f()\nf()",
        "error",
        "memory",
        "timeout",
        limits=Limits(wall_s=2.0, memory_bytes=64 << 20),
    ),
    attack(
        "stack_overflow_in_c",
        """
sys.setrecursionlimit(10 ** 9)
x = ()
for _ in range(2 * 10 ** 5):
    x = (x,)
repr(x) and hash(x)
""",
        "error",
        "memory",
    ),
    attack("crash", "ctypes.string_at(0)", "error"),
    attack(
        "broken_bytecode",
        "exec((lambda: 0).__code__.replace(co_code=bytes([100, 200] * 40)))",
        "error",
        "timeout",
        "memory",
        "ok",
        limits=SHORT,
    ),
    attack("abort", "os.abort()", "error"),
    attack("output_flood", "while True:\n    print('x' * 1000)", "output"),
    attack("error_flood", "while True:\n    sys.stderr.write('x' * 1000)", "output"),
    attack("output_raw", "while True:\n    os.write(1, bytes(1 << 16))", "output"),
    attack(
        "output_stubborn",
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
while True:
    try:
        os.write(1, bytes(1 << 16))
    except OSError:
        break
""",
        "output",
    ),
    attack(
        "output_sparse",
        """
os.lseek(1, 1 << 40, os.SEEK_SET)
attempt("far away", lambda: os.write(1, b"x"))
attempt("truncate", lambda: os.ftruncate(1, 1 << 40))
attempt("allocate", lambda: raw("fallocate", 1, 0, 0, 1 << 40))
""",
        "output",
        "error",
    ),
    attack("output_into_stdin", "while True:\n    os.write(0, bytes(1 << 16))", "output", "error"),
    attack("gigantic_text", "print('9' * 900_000)\nint('9' * 100_000)", "error", "ok"),
    attack("many_descriptors", "x = []\nwhile True:\n    x.append(os.dup(0))", "error"),
    attack(
        "alarm_after_end",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.001)\nsum(range(10 ** 8))",
        "error",
    ),
)
