"""Python's standard library for programs that cannot look at the file system.

Path lookups such as stat are refused inside, because they would show other files' metadata. What
programs commonly import is therefore loaded before the first of them runs; the rest is found by
plain attempts to open it, where files can be opened at all.
"""

import contextlib
import importlib
import marshal
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER, cache_from_source
from types import CodeType, ModuleType

LIBRARY = os.path.dirname(os.path.realpath(os.__file__))
_NOT_LIBRARY = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip", "turtledemo")

COMMON = (
    "__future__", "_ctypes", "_datetime", "_heapq", "_json", "_queue", "_random", "_socket",
    "_sitebuiltins", "_statistics", "abc", "array", "atexit", "base64", "binascii", "bisect",
    "calendar", "cmath", "codecs", "collections", "collections.abc", "contextlib", "copy",
    "csv", "ctypes", "dataclasses", "datetime", "decimal", "enum", "errno", "fractions",
    "functools", "gc", "hashlib", "heapq", "io", "itertools", "json", "linecache", "locale",
    "math", "mmap", "numbers", "operator", "os", "pprint", "queue", "random", "re", "resource",
    "select", "signal", "statistics", "string", "struct", "sys", "textwrap", "threading", "time",
    "timeit", "traceback", "types", "typing", "unicodedata", "warnings", "weakref", "zlib",
    "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "encodings.utf_8_sig",
)  # fmt: skip
"""Loaded in every server. The ones in C must be: the loader of shared objects uses stat."""

MORE = (
    "argparse", "ast", "bz2", "cmd", "colorsys", "concurrent.futures", "configparser",
    "contextvars", "difflib", "dis", "fnmatch", "gettext", "getopt", "glob", "graphlib", "hmac",
    "html", "html.parser", "inspect", "ipaddress", "keyword", "logging", "lzma", "pathlib",
    "pickle", "platform", "reprlib", "sched", "secrets", "selectors", "shlex", "shutil",
    "sqlite3", "stat", "subprocess", "symtable", "tempfile", "token", "tokenize", "unittest",
    "uuid", "xml.etree.ElementTree", "zipfile",
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


def preload(names: Sequence[str]) -> None:
    """Import what is there; some builds of Python leave modules out."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class OpeningFinder:
    """Finds modules of the library by opening their files, without looking at folders."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
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
    spec = ModuleSpec(name, _CodeLoader(code), origin=source, is_package=is_package)
    if spec.submodule_search_locations is not None:
        spec.submodule_search_locations.append(os.path.dirname(source))
    return spec


class _CodeLoader(Loader):
    """Runs code that was read already."""

    def __init__(self, code: CodeType) -> None:
        self._code = code

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def _read_code(source: str) -> CodeType | None:
    """Return a module's code from its cache, or else from its source; None if neither opens."""
    with contextlib.suppress(OSError), open(cache_from_source(source), "rb") as file:
        header = file.read(16)
        if header[:4] == MAGIC_NUMBER:
            code: CodeType = marshal.load(file)
            return code
    with contextlib.suppress(OSError), open(source, "rb") as file:
        return compile(file.read(), source, "exec", dont_inherit=True)
    return None


def install_finder() -> None:
    """Let imports go through `OpeningFinder` alone, after what is built in."""
    sys.meta_path[2:] = [OpeningFinder]
    sys.path_importer_cache.clear()
