"""Attacks on files: read, look at, write, and every detour to them."""

from tests.security.attack import attack

ATTACKS = (
    attack(
        "read_passwd", 'attempt("passwd", lambda: open("/etc/passwd").read())', works_unguarded=True
    ),
    attack(
        "read_secret",
        'attempt("secret", lambda: open(scene["secret"]).read())',
        works_unguarded=True,
    ),
    attack(
        "environment_secret",
        """
def all_environments():
    text = repr(dict(os.environ))
    for process in ("self", os.getppid(), scene["client"], 1):
        try:
            text += open(f"/proc/{process}/environ", errors="replace").read()
        except OSError:
            pass
    assert scene["secret_text"] in text
attempt("environment", all_environments)
""",
    ),
    attack(
        "read_by_symlink",
        """
link = scene["open_folder"] + "/link"
attempt("symlink", lambda: os.symlink(scene["secret"], link))
attempt("hard link", lambda: os.link(scene["secret"], link + "2"))
attempt("through it", lambda: open(link).read())
""",
        works_unguarded=True,
    ),
    attack(
        "read_through_proc",
        """
for process in ("self", "thread-self", os.getppid(), scene["client"]):
  for start in (f"/proc/{process}/root", f"/proc/{process}/cwd"):
      attempt(start, lambda: open(start + scene["secret"]).read())
      attempt("list " + start, lambda: os.listdir(start))
""",
        works_unguarded=True,
    ),
    attack(
        "read_own_proc",
        """
for name in ("maps", "mem", "status", "fd", "task", "mountinfo", "cgroup", "cmdline", "stat"):
    attempt(name, lambda: os.open(f"/proc/self/{name}", os.O_RDONLY))
    attempt("parent " + name, lambda: os.open(f"/proc/{os.getppid()}/{name}", os.O_RDONLY))
""",
        works_unguarded=True,
    ),
    attack(
        "namespace_files",
        """
for process in ("self", os.getppid(), scene["client"], 1):
    for name in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"):
        try:
            opened = os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY)
        except OSError:
            continue
        if process != "self":
            print("ACHIEVED", "another's namespace", process, name)
        attempt("read " + name, lambda: os.read(opened, 1))
        attempt("enter " + name, lambda: raw("setns", opened, 0))
        attempt("ask for the one above " + name, lambda: raw("ioctl", opened, 0xB701, 0))
        os.close(opened)
""",
    ),
    attack(
        "read_relative",
        """
attempt("dots", lambda: open("../../../../../.." + scene["secret"]).read())
attempt("library and back", lambda: open(library + "/json" + "/.." * 9 + scene["secret"]).read())
attempt("chdir", lambda: os.chdir(scene["folder"]))
attempt("relative", lambda: open(os.path.basename(scene["secret"])).read())
def from_a_folder():
    folder = os.open(library + "/json", os.O_RDONLY)
    return os.open("../" * 9 + scene["secret"], os.O_RDONLY, dir_fd=folder)
attempt("from a folder", from_a_folder)
""",
        works_unguarded=True,
    ),
    attack(
        "list_folders",
        """
for folder in ("/", "/tmp", "/root", "/proc", scene["folder"], library, library + "/site-packages"):
    attempt(folder, lambda: os.listdir(folder))
    attempt("scan " + folder, lambda: list(os.scandir(folder)))
""",
        works_unguarded=True,
    ),
    attack(
        "metadata",
        """
path = scene["secret"]
for name in ("stat", "lstat", "readlink", "listxattr", "statvfs"):
    attempt(name, lambda: getattr(os, name)(path))
attempt("access", lambda: [1][not os.access(path, os.F_OK)])
attempt("exists", lambda: [1][not os.path.exists(path)])
attempt("flipping", lambda: os.readlink(scene["flipping"]))
attempt("statx", lambda: raw("statx", -100, path.encode(), 0, 0x7ff, buffer))
attempt("newfstatat", lambda: raw("newfstatat", -100, path.encode(), buffer, 0x1000))
""",
        works_unguarded=True,
    ),
    attack(
        "metadata_by_path_descriptor",
        """
def look():
    descriptor = os.open(scene["secret"], os.O_PATH)
    return os.fstat(descriptor), descriptor
attempt("O_PATH", look)
attempt("reopen", lambda: open(f"/proc/self/fd/{look()[1]}").read())
""",
        works_unguarded=True,
    ),
    attack(
        "other_ways_to_open",
        """
path = scene["secret"].encode()
how = ctypes.create_string_buffer(24)
attempt("openat2", lambda: raw("openat2", -100, path, how, 24))
if "open" in scene["numbers"]:
    attempt("open", lambda: raw("open", path, 0))
attempt("openat", lambda: raw("openat", -100, path, 0))
handle = ctypes.create_string_buffer(b"\\x80" + bytes(200))
attempt("name_to_handle_at", lambda: raw("name_to_handle_at", -100, path, handle, buffer, 0))
attempt("open_by_handle_at", lambda: raw("open_by_handle_at", -100, handle, 0))
attempt("open_code", lambda: __import__("io").open_code(scene["secret"]).read())
attempt("mmap of it", lambda: __import__("mmap").mmap(os.open(scene["secret"], 0), 5, prot=1))
""",
    ),
    attack(
        "write_host_file",
        """
path = scene["host_file"]
for mode in ("w", "a", "r+", "x"):
    attempt(mode, lambda: open(path, mode).write("changed"))
for flags in (1, 2, 3, 1 | os.O_TRUNC, os.O_TRUNC, 1 | os.O_APPEND):
    attempt(f"flags {flags}", lambda: os.write(os.open(path, flags), b"changed"))
attempt("truncate", lambda: os.truncate(path, 0))
attempt("open to truncate", lambda: os.open(path, os.O_RDONLY | os.O_TRUNC))
""",
        works_unguarded=True,
    ),
    attack(
        "change_folders",
        """
folder, path = scene["open_folder"], scene["host_file"]
attempt("create", lambda: open(folder + "/new", "w").write("x"))
attempt("tmpfile", lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
attempt("mkdir", lambda: os.mkdir(folder + "/sub"))
attempt("mkfifo", lambda: os.mkfifo(folder + "/fifo"))
attempt("mknod", lambda: os.mknod(folder + "/node"))
attempt("rename", lambda: os.rename(path, path + ".old"))
attempt("unlink", lambda: os.unlink(path))
attempt("rmdir", lambda: os.rmdir(folder))
attempt("chmod", lambda: os.chmod(path, 0o777))
attempt("chown", lambda: os.chown(path, 0, 0))
attempt("utime", lambda: os.utime(path))
attempt("setxattr", lambda: os.setxattr(path, "user.x", b"1"))
""",
    ),
    attack(
        "write_into_the_library",
        """
attempt("append", lambda: open(scene["library_file"], "a"))
attempt("own", lambda: open(os.__file__, "r+b"))
attempt("cache", lambda: open(library + "/__pycache__/evil.pyc", "wb"))
attempt("compile", lambda: __import__("py_compile").compile(os.__file__, doraise=True))
""",
    ),
    attack(
        "fill_the_disk",
        """
def fill(folder):
    with open(folder + "/full", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
for folder in (scene["open_folder"], "/tmp", "/dev/shm", "/var/tmp", "."):
    attempt(folder, lambda: fill(folder))
attempt("tempfile", lambda: __import__("tempfile").TemporaryFile())
attempt("memory file", lambda: os.memfd_create("x"))
attempt("secret memory", lambda: raw("memfd_secret", 0))
""",
    ),
    attack(
        "devices",
        """
for name in ("null", "tty", "mem", "kmsg", "urandom", "shm", "fuse", "fd"):
    path = "/dev/" + name
    attempt(path, lambda: os.open(path, os.O_RDONLY))
    attempt("write " + path, lambda: os.open(path, os.O_WRONLY))
""",
    ),
    attack(
        "packages_of_others",
        """
for name in ("pytest", "numpy", "pip", "torch", "reward_fns", "reward_fns.sandbox", "setuptools"):
    attempt(name, lambda: __import__(name))
sys.path.insert(0, scene["folder"])
sys.path_importer_cache.clear()
attempt("own folder", lambda: __import__("secret"))
attempt("package", lambda: os.listdir(library + "/site-packages"))
""",
    ),
    attack(
        "swapped_while_opened",
        """
for _ in range(10000):
    try:
        with open(scene["flipping"]) as file:
            if scene["secret_text"] in file.read(100):
                print("ACHIEVED read the secret in a race")
                break
    except OSError:
        pass
""",
    ),
)
