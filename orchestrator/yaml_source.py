"""YAML documents that remember where each key and value stands, and `--set` overrides of them.

ruamel.yaml's round-trip loader knows the line and column of everything (and reads 1e-4 as a
number). What comes out here is plain dicts, lists and scalars, with a place for each path, so
that nothing downstream knows about YAML.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from datagen.binary import HEAD_BYTES, binary_kind

Step = str | int
DataPath = tuple[Step, ...]
MAX_BYTES = 256 << 10
"""Largest config file."""
MAX_VALUES = 20_000
"""Most values of a config, where aliases count as what they stand for."""


class ConfigError(ValueError):
    """A mistake in a config file or override: one line, or two when there are several mistakes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key or value was written: a file's line and column (from 1), or an override."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else f"{self.file}:"

    @property
    def short(self) -> str:
        """The place without its column, as `quickstart.yaml:12` or `--set`."""
        return f"{Path(self.file).name}:{self.line}" if self.line else self.file.split(" ")[0]


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data, and the place of each of its keys and values by path."""

    name: str
    data: dict[str, Any]
    keys: dict[DataPath, Place] = field(default_factory=dict)
    values: dict[DataPath, Place] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count, repr=False, compare=False)
    """Counts the values as they are read."""

    def place(self, path: DataPath, *, of_key: bool = False) -> Place:
        """Place of the value (or key) at `path`, or of the nearest parent that was written."""
        for end in range(len(path), 0, -1):
            here = path[:end]
            first, second = (self.keys, self.values) if of_key else (self.values, self.keys)
            found = first.get(here) or second.get(here)
            if found:
                return found
            of_key = False
        return Place(self.name)


def load_yaml(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises ConfigError for a missing, unreadable or large file, for broken YAML (with line and
    column), for tags, for aliases that stand for too much, and for a top level that is not a
    mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if (kind := binary_kind(data[:HEAD_BYTES])) is not None:
            raise ConfigError(f"{path} is {kind}: a config is a YAML file in UTF-8")
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{path} is over {MAX_BYTES:,} bytes: no config is as large")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text under the file name shown in messages; raises as `load_yaml` does."""
    root = _construct(text, name)
    if root is None:
        raise ConfigError(f"{name}:1:1 is empty: a config is a mapping of keys to values")
    if not isinstance(root, dict):
        raise ConfigError(f"{name}:1:1 holds a {_kind(root)}: a config is a mapping of keys")
    document = Document(name, {})
    document.data.update(_plain(root, (), document, frozenset()))
    return document


def parse_value(text: str, name: str) -> Any:
    """Parse one value, as on the right of `key:` in YAML; `name` is shown in messages."""
    holder = Document(name, {})
    return _plain(_construct(text, name), (), holder, frozenset())


def _construct(text: str, name: str) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = None if name.startswith("--set") else error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:"
        problem = (error.problem or error.context or "broken YAML").split(" with value")[0]
        raise ConfigError(f"{where} {problem}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: {str(error).splitlines()[0]}") from None


def _kind(value: Any) -> str:
    return "list" if isinstance(value, list) else f"value {value!r}"


def _plain(node: Any, path: DataPath, document: Document, above: frozenset[int]) -> Any:
    """Turn ruamel's nodes into plain data, noting the place of each key and value."""
    tag = getattr(getattr(node, "tag", None), "value", None)
    if tag is not None:
        raise ConfigError(f"{document.place(path)} tag {tag} is not supported")
    if next(document.numbers) >= MAX_VALUES:
        raise ConfigError(
            f"{document.place(path)} holds more than {MAX_VALUES:,} values, aliases counted as "
            "what they stand for: make it smaller"
        )
    if not isinstance(node, dict | list):
        return _scalar(node)
    if id(node) in above:
        raise ConfigError(f"{document.place(path)} an alias refers to what it stands in")
    above = above | {id(node)}
    if isinstance(node, list):
        out_list = []
        for index, item in enumerate(node):
            _note(node, index, (*path, index), document)
            out_list.append(_plain(item, (*path, index), document, above))
        return out_list
    out = {}
    for key, item in node.items():
        _note(node, key, (*path, str(key)), document)
        out[str(key)] = _plain(item, (*path, str(key)), document, above)
    return out


def _note(node: Any, key: Any, path: DataPath, document: Document) -> None:
    marks = (node.lc.data or {}).get(key) if isinstance(node, CommentedBase) else None
    if not marks:
        return  # a key merged in by `<<` has no place of its own: its parent's is used
    line, column, *value = marks
    place = Place(document.name, line + 1, column + 1)
    if value:
        document.keys[path] = place
    if value and node[key] is not None:  # ruamel has nothing at the next token, lines below
        place = replace(place, line=value[0] + 1, column=value[1] + 1)
    document.values[path] = place


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):  # ruamel's own subclasses carry formatting
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def apply_overrides(document: Document, overrides: tuple[str, ...]) -> Document:
    """Return the document with each `a.b=value` put in place, values read as YAML.

    A list is entered by index (`stages.1`) or by an item's name or type (`stages.grpo`).
    Raises ConfigError for an override without `=`, or whose path cannot be walked.
    """
    changed = Document(document.name, _copy(document.data), {**document.keys}, {**document.values})
    for override in overrides:
        _apply(changed, override)
    return changed


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(item) for item in node] if isinstance(node, list) else node


def _apply(document: Document, override: str) -> None:
    shown = f"--set {override}"
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise ConfigError(f"{shown}: write it as --set key.subkey=value")
    *parents, last = dotted.split(".")
    node: Any = document.data
    path: DataPath = ()
    for word in parents:
        step = _step(node, word, path, shown)
        if isinstance(node, dict) and not isinstance(node.get(word), dict | list):
            if node.get(word) is not None:
                where = ".".join([*map(str, path), word])
                raise ConfigError(f"{shown}: {where} is {node[word]!r}, which has no keys")
            node[word] = {}
            document.keys[(*path, word)] = document.values[(*path, word)] = Place(shown)
        node, path = node[step], (*path, step)
    step = _step(node, last, path, shown)
    node[step] = parse_value(text, shown)
    _forget(document, (*path, step))
    document.keys[(*path, step)] = document.values[(*path, step)] = Place(shown)


def _step(node: Any, word: str, path: DataPath, shown: str) -> Step:
    """The key or index that `word` means in `node`."""
    if isinstance(node, dict):
        return word
    where = ".".join(map(str, path))
    if not isinstance(node, list):
        raise ConfigError(f"{shown}: {where} is {node!r}, which has no keys")
    if word.isdigit() and int(word) < len(node):
        return int(word)
    names = [list(_item_names(item)) for item in node]
    for position in range(2):  # an item's own name goes before another's type
        found = [i for i, own in enumerate(names) if len(own) > position and own[position] == word]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"{shown}: {len(found)} entries of {where} are {word}: use an index")
    known = ", ".join(own[0] for own in names if own) or f"0 to {len(node) - 1}"
    raise ConfigError(f"{shown}: {where} has no entry {word}; it has {known}")


def _item_names(item: Any) -> Iterator[str]:
    if isinstance(item, dict):
        for key in ("name", "type"):
            if isinstance(item.get(key), str):
                yield item[key]


def _forget(document: Document, path: DataPath) -> None:
    for places in (document.keys, document.values):
        for known in [k for k in places if k[: len(path)] == path]:
            del places[known]


class _Representer(RoundTripRepresenter):
    """Writes None as null rather than as nothing."""


_Representer.add_representer(
    type(None), lambda own, _: own.represent_scalar("tag:yaml.org,2002:null", "null")
)


def to_yaml(data: dict[str, Any], comments: dict[DataPath, str] | None = None) -> str:
    """Write plain data as YAML, with a comment after each value that has one."""
    writer = YAML(typ="rt")
    writer.Representer = _Representer
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    root = writer.map()
    _fill(root, data, (), comments or {}, writer)
    out = StringIO()
    writer.dump(root, out)
    return out.getvalue()


def _fill(node: Any, data: Any, path: DataPath, comments: dict[DataPath, str], yaml: YAML) -> None:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        here = (*path, key)
        child = value
        if value and isinstance(value, dict | list):
            child = yaml.map() if isinstance(value, dict) else yaml.seq()
            _fill(child, value, here, comments, yaml)
        if isinstance(node, dict):
            node[key] = child
        else:
            node.append(child)
        if here in comments and child is value:
            node.yaml_add_eol_comment(comments[here], key=key, column=48)
