"""Attacks on the sandbox itself: its descriptors, its memory, its verdict, the next program."""

from reward_fns.sandbox import Limits
from tests.security.attack import attack

ATTACKS = (
    attack(
        "inherited_descriptors",
        """
for descriptor in range(3, 4096):
    attempt(f"stat {descriptor}", lambda: raw("fstat", descriptor, buffer))
    attempt(f"write {descriptor}", lambda: os.write(descriptor, b"x"))
    attempt(f"read {descriptor}", lambda: os.read(descriptor, 1))
    attempt(f"dup {descriptor}", lambda: os.dup(descriptor))
""",
    ),
    attack(
        "reused_descriptors",
        """
for number in (0, 1, 2):
    os.close(number)
reached = []
for number in range(64):
    try:
        os.write(number, b"x")
        reached.append(number)
    except OSError:
        pass
try:
    first = os.open(os.__file__, os.O_RDONLY)
    os.write(first, b"x")
    reached.append("library")
except OSError:
    pass
if reached:
    raise SystemExit("ACHIEVED")
""",
        "ok",
    ),
    attack(
        "pass_descriptors_on",
        """
import socket
attempt("pair", lambda: socket.socketpair()[0].sendmsg([b"x"]))
attempt("pipe", os.pipe)
attempt("event", lambda: os.eventfd(0))
attempt("poll set", lambda: __import__("select").epoll())
""",
    ),
    attack(
        "terminal",
        """
for descriptor in (0, 1, 2):
    attempt("type", lambda: raw("ioctl", descriptor, 0x5412, b"x"))
    attempt("steal", lambda: raw("ioctl", descriptor, 0x540e, 0))
    attempt("lock", lambda: raw("flock", descriptor, 2))
""",
    ),
    attack(
        "poison_interpreter",
        """
import builtins, random, time
builtins.print = builtins.input = builtins.len = None
sys.modules.clear()
random.random = lambda: 4
os.environ["POISON"] = "1"
sys.stdout.write("poisoned")
""",
    ),
    attack(
        "poison_memory",
        """
import gc, mmap
for thing in gc.get_objects():
    if isinstance(thing, dict):
        try:
            thing["POISON"] = "1"
        except Exception:
            pass
for thing in gc.get_objects():
    if isinstance(thing, mmap.mmap):
        thing[:] = b"\\xff" * len(thing)
""",
    ),
    attack(
        "climb_the_frames",
        """
frame = sys._getframe()
while frame is not None:
    for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
        kind = type(value).__name__
        if kind == "socket":
            attempt(name, lambda: value.send(b"R" + bytes(100)))
        if kind == "Server":
            for inner in vars(value).values():
                if type(inner).__name__ == "socket":
                    attempt(name, lambda: inner.send(b"X" + bytes(100)))
    frame = frame.f_back
""",
    ),
    attack(
        "pass_for_trouble",
        """
import gc, mmap
frame, pages = sys._getframe(), [x for x in gc.get_objects() if isinstance(x, mmap.mmap)]
while frame is not None:
    names = {**frame.f_globals, **frame.f_locals}
    pages += [x for x in names.values() if isinstance(x, mmap.mmap)]
    frame = frame.f_back
for value in range(256):
    for page in pages:
        try:
            page[:2] = bytes([value, 0])
        except ValueError:
            pass
for page in pages:
    try:
        page[:] = bytes(len(page))
    except ValueError:
        pass
os._exit(1)
""",
        "error",
    ),
    attack("exit_is_no_end", "print('right answer')\nsys.stdout.flush()\nos._exit(0)", "error"),
    attack("exit_quietly", "print('right answer')\nsys.exit(0)", "error"),
    attack("exit_by_name", "print('right answer')\nexit()", "error"),
    attack(
        "exit_in_atexit",
        "import atexit\natexit.register(os._exit, 0)\nprint('right answer')",
        "error",
    ),
    attack(
        "import_again",
        """
import importlib
fresh = [c for c in object.__subclasses__() if c.__name__ == "_wrap_close"][0]
attempt("globals", lambda: fresh.__init__.__globals__["system"]("true") == 0 or 1 / 0)
attempt("again", lambda: importlib.reload(os).fork())
attempt("posix", lambda: __import__("posix").fork())
attempt("eval", lambda: eval("__import__('os').listdir('/')"))
""",
    ),
    attack(
        "write_twice",
        """
sys.stdout.write("x" * 100)
sys.stdout.flush()
os.lseek(1, 0, os.SEEK_SET)
os.write(1, b"y")
sys.exit(1)
""",
        "error",
    ),
    attack(
        "hooks",
        """
sys.excepthook = lambda *a: os._exit(0)
sys.unraisablehook = lambda *a: os._exit(0)
sys.meta_path[:] = []
sys.stdout = sys.stderr = None
class Evil:
    def __del__(self):
        os._exit(0)
evil = Evil()
raise ValueError
""",
        "error",
    ),
    attack(
        "flush_trap",
        """
class Trap:
    closed = False
    def write(self, text):
        return 0
    def flush(self):
        os._exit(0)
sys.stdout = Trap()
""",
        "error",
    ),
    attack(
        "flush_for_ever",
        """
class Trap:
    closed = False
    def flush(self):
        while True:
            pass
sys.stdout = Trap()
""",
        "timeout",
        limits=Limits(wall_s=0.3),
    ),
)
