"""Python's standard library for programs that cannot look at the file system.

Path lookups such as stat are refused inside, because they would show other files' metadata. What
programs commonly import is therefore loaded before the first of them runs; the rest is found by
plain attempts to open it, where files can be opened at all.
"""

import _frozen_importlib
import _frozen_importlib_external
import marshal
import os
import sys
from types import CodeType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ModuleSpec = _frozen_importlib.ModuleSpec
# The modules that offer these to others load more of the library than a bare process has.
MAGIC_NUMBER = _frozen_importlib_external.MAGIC_NUMBER
cache_from_source = _frozen_importlib_external.cache_from_source

LIBRARY = os.path.dirname(os.path.realpath(os.__file__))
_NOT_LIBRARY = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip", "turtledemo")

COMMON = (
    "__future__", "abc", "bisect", "collections", "collections.abc", "copy", "datetime",
    "decimal", "enum", "fractions", "functools", "heapq", "io", "itertools", "json", "math",
    "operator", "os", "queue", "random", "re", "string", "struct", "sys", "threading",
    "time", "typing", "array", "cmath", "binascii", "zlib", "unicodedata", "select", "mmap",
    "resource", "_blake2", "_csv", "_ctypes", "_md5", "_sha1", "_sha2", "_sha256", "_sha3",
    "_sha512", "_socket", "_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp",
    "_codecs_kr", "_codecs_tw", "_multibytecodec",
)  # fmt: skip
"""Loaded in every server. What is written in C must be: its loader looks at paths."""

MORE = (
    "argparse", "ast", "base64", "bz2", "calendar", "cmd", "colorsys", "concurrent.futures",
    "configparser", "contextlib", "contextvars", "csv", "ctypes", "dataclasses", "difflib",
    "dis", "fnmatch", "gettext", "getopt", "glob", "graphlib", "hashlib", "hmac", "html",
    "html.parser", "inspect", "ipaddress", "keyword", "locale", "logging", "lzma",
    "pathlib", "pickle", "platform", "pprint", "reprlib", "sched", "secrets", "selectors",
    "shlex", "shutil", "sqlite3", "stat", "statistics", "subprocess", "symtable",
    "tempfile", "textwrap", "timeit", "token", "tokenize", "traceback", "unittest", "uuid",
    "xml.etree.ElementTree", "zipfile",
)  # fmt: skip
"""Loaded too where no file can be opened later."""


def readable_paths() -> list[str]:
    """Return what of the library a program may read: all of it but the packages of others."""
    paths = []
    for entry in sorted(os.scandir(LIBRARY), key=lambda entry: entry.name):
        wanted = entry.name.endswith(".py") or entry.is_dir(follow_symlinks=False)
        if wanted and not entry.is_symlink() and entry.name not in _NOT_LIBRARY:
            paths.append(entry.path)
    if os.path.isdir(os.path.join(LIBRARY, "__pycache__")):
        return [path for path in paths if not path.endswith(".py")]
    return paths


def preload(names: tuple[str, ...]) -> None:
    """Import what is there (some builds of Python leave modules out), and fix the random seed.

    Hooks for a fork are not taken: they would mend locks and seeds that no server has used yet.
    """
    register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    try:
        for name in names:
            try:
                __import__(name)
            except ImportError:
                continue
    finally:
        os.register_at_fork = register
    sys.modules["random"].seed(0)


class OpeningFinder:
    """Finds modules of the library by opening their files, without looking at folders."""

    @staticmethod
    def find_spec(
        name: str, path: list[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the library, or None."""
        folders = [LIBRARY] if path is None else list(path)
        tail = name.rpartition(".")[2]
        for folder in folders:
            for source, is_package in (
                (os.path.join(folder, tail, "__init__.py"), True),
                (os.path.join(folder, f"{tail}.py"), False),
            ):
                code = _read_code(source)
                if code is not None:
                    return _spec(name, source, code, is_package)
        return None


def _spec(name: str, source: str, code: CodeType, is_package: bool) -> ModuleSpec:
    loader: Any = _CodeLoader(code)
    spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
    if spec.submodule_search_locations is not None:
        spec.submodule_search_locations.append(os.path.dirname(source))
    return spec


class _CodeLoader:
    """Runs code that was read already; importlib.abc.Loader would load half of the library."""

    def __init__(self, code: CodeType) -> None:
        self._code = code

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def _read_code(source: str) -> CodeType | None:
    """Return a module's code from its cache, or else from its source; None if neither opens."""
    cached = _read(cache_from_source(source))
    if cached is not None and cached[:4] == MAGIC_NUMBER:
        code: CodeType = marshal.loads(memoryview(cached)[16:])
        return code
    text = _read(source)
    return None if text is None else compile(text, source, "exec", dont_inherit=True)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def install_finder(finder: "Any") -> None:
    """Let imports go through a finder of ours alone, after what is built in."""
    sys.meta_path[2:] = [finder]
    sys.path_importer_cache.clear()
