"""Reads files of given programs: JSONL or Parquet in the shape of rl-python, and CRUXEval's JSONL.

    {"program": "print(int(input()) + 1)", "inputs": "4", "output": "5"}

`inputs` may be a list of lines; where `output` is a list too, each pair is a case of its own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.binary import HEAD_BYTES, PARQUET, binary_kind, refuse_binary
from datagen.manifest import file_sha256

RL_PYTHON, CRUXEVAL = ("program", "inputs", "output"), ("code", "input", "output")


@dataclass(frozen=True, slots=True)
class Case:
    """A program with an input and its recorded output; `name` is unique within the file."""

    name: str
    program: str
    stdin: str
    output: str


class GivenFile:
    """A file of programs: its hash, how many cases it has, and each case by its place."""

    def __init__(self, path: Path, columns: tuple[str, str, str]) -> None:
        self.path = path
        self.columns = columns
        self.sha256 = ""
        self._places: list[tuple[int, int]] = []
        """Of each case: the offset (or row) that it is read from, and which pair of it."""

    def __len__(self) -> int:
        return len(self._places)

    def cases(self, places: Sequence[int]) -> list[Case]:
        """Read the cases at these places."""
        raise NotImplementedError

    def _case(self, number: int, row: Mapping[str, Any], pair: int) -> Case:
        program, inputs, output = (row[column] for column in self.columns)
        name = f"{number}"
        if isinstance(row.get("id"), str) and self.columns == CRUXEVAL:
            name = row["id"]
        if isinstance(output, list):
            return Case(f"{name}.{pair}", program, inputs[pair], output[pair])
        return Case(name, program, _joined(inputs), output)

    def _num_cases(self, where: str, row: Mapping[str, Any]) -> int:
        """How many cases a row holds; ValueError naming the column that is wrong."""
        program, inputs, output = (row[column] for column in self.columns)
        names = self.columns
        if not isinstance(program, str):
            raise ValueError(f"{where}: {names[0]} is {_kind(program)}: use a string")
        if not _texts(inputs):
            raise ValueError(
                f"{where}: {names[1]} is {_kind(inputs)}: use a string, or a list of strings"
            )
        if isinstance(output, str):
            return 1
        if not _texts(output) or not isinstance(inputs, list) or len(inputs) != len(output):
            raise ValueError(
                f"{where}: {names[2]} is {_kind(output)}: use a string, or a list as long as "
                f"that of {names[1]}"
            )
        return len(output)


class JsonlFile(GivenFile):
    """A JSON object a line; read once through, then line by line by offset."""

    def __init__(self, path: Path, columns: tuple[str, str, str]) -> None:
        super().__init__(path, columns)
        self._numbers: dict[int, int] = {}
        digest = hashlib.sha256()
        with _opened(path) as file:
            refuse_binary(file.read(HEAD_BYTES), f"programs.path: {path}", "JSON Lines")
            file.seek(0)
            offset = 0
            for number, line in enumerate(file, 1):
                digest.update(line)
                if line.strip():
                    where = f"{path}:{number}"
                    count = self._num_cases(where, _object(where, line, columns))
                    self._places += [(offset, pair) for pair in range(count)]
                    self._numbers[offset] = number
                offset += len(line)
        self.sha256 = digest.hexdigest()

    def cases(self, places: Sequence[int]) -> list[Case]:
        """Read the cases at these places."""
        cases = []
        with _opened(self.path) as file:
            for place in places:
                offset, pair = self._places[place]
                file.seek(offset)
                where = f"{self.path}:{self._numbers[offset]}"
                row = _object(where, file.readline(), self.columns)
                cases.append(self._case(self._numbers[offset], row, pair))
        return cases


class ParquetFile(GivenFile):
    """A Parquet file, mapped into memory."""

    def __init__(self, path: Path, columns: tuple[str, str, str]) -> None:
        super().__init__(path, columns)
        with _opened(path) as file:
            if (kind := binary_kind(file.read(HEAD_BYTES))) not in (None, PARQUET):
                raise ValueError(f"programs.path: {path} is {kind}: give a Parquet file")
        self.sha256 = file_sha256(path)
        try:
            found = pq.read_schema(path).names
            _check_columns(str(path), found, columns)
            self._table = pq.read_table(path, columns=list(columns), memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{path} is not a Parquet file: {error}") from None
        number = 0
        for batch in self._table.to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                count = self._num_cases(f"{path} row {number}", row)
                self._places += [(number, pair) for pair in range(count)]
                number += 1

    def cases(self, places: Sequence[int]) -> list[Case]:
        """Read the cases at these places."""
        chosen = [self._places[place] for place in places]
        rows = self._table.take(pa.array([number for number, _ in chosen])).to_pylist()
        return [
            self._case(number, row, pair) for (number, pair), row in zip(chosen, rows, strict=True)
        ]


def open_given(path: Path, kind: str) -> GivenFile:
    """Read a file of given programs; ValueError naming what is wrong with it."""
    if kind == "parquet":
        return ParquetFile(path, RL_PYTHON)
    given = JsonlFile(path, CRUXEVAL if kind == "cruxeval" else RL_PYTHON)
    if not len(given):
        raise ValueError(f"{path} holds no rows: it needs a JSON object a line")
    return given


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"programs.path: cannot read {path}: {error.strerror}") from None


def _object(where: str, line: bytes, columns: tuple[str, ...]) -> dict[str, Any]:
    """Read one line of JSONL."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"{where} holds {_kind(row)}: use a JSON object a line")
    _check_columns(where, list(row), columns)
    return row


def _check_columns(where: str, found: Sequence[str], wanted: tuple[str, ...]) -> None:
    missing = [column for column in wanted if column not in found]
    if missing:
        raise ValueError(
            f"{where} has no column {', '.join(missing)}: it needs {', '.join(wanted)} and has "
            f"{', '.join(found) or 'none'}"
        )


def _texts(value: Any) -> bool:
    """Whether a value is a string, or a list of them."""
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    )


def _joined(inputs: str | list[str]) -> str:
    return inputs if isinstance(inputs, str) else "\n".join(inputs)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), f"{value!r:.40}")
