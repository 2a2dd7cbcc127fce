"""Binary files given as text: named as what they are, wherever a text is read, and never shown."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.abd_files import open_given
from datagen.binary import binary_kind
from datagen.dimacs import read_dimacs
from datagen.evaluations.json_stream import array_items
from datagen.manifest import Manifest, read_record
from datagen.trace_files import read_traces
from orchestrator.evidence import read_evidence
from orchestrator.yaml_source import load_yaml


def made(write: Callable[[io.BytesIO], object]) -> bytes:
    """What a library writes into a file."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zip_file(file: io.BytesIO) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("secret.txt", "secret")


def tar_file(file: io.BytesIO) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("secret.txt"))


TEXT = b'{"secret": 1}\n' * 50
BINARY = {
    "a gzip file": gzip.compress(TEXT),
    "an xz file": lzma.compress(TEXT),
    "a bzip2 file": bz2.compress(TEXT),
    "a zip archive": made(zip_file),
    "a tar archive": made(tar_file),
    "a Parquet file": made(lambda file: pq.write_table(pa.table({"secret": [1]}), file)),
    "a NumPy array": made(lambda file: np.save(file, np.arange(9))),
    "a pickle": pickle.dumps(["secret"]),
    "a PNG image": b"\x89PNG\r\n\x1a\n secret",
    "an SQLite database": b"SQLite format 3\0 secret",
    "UTF-16 text": "secret: 1\n".encode("utf-16"),
    "a binary file": b"secret: \x00\x01",
}
READERS: dict[str, Callable[[Path], object]] = {
    "config": load_yaml,
    "evidence": read_evidence,
    "programs.path, jsonl": lambda path: open_given(path, "jsonl"),
    "programs.path, parquet": lambda path: open_given(path, "parquet"),
    "traces": lambda path: list(read_traces(path, "")),
    "manifest": lambda path: read_record(path, Manifest, "a dataset manifest"),
    "evaluations": lambda path: list(array_items(io.BytesIO(path.read_bytes()))),
    "DIMACS": read_dimacs,
}
READ_ALL_THE_SAME = {
    ("DIMACS", "a gzip file"), ("DIMACS", "an xz file"), ("DIMACS", "a bzip2 file"),
    ("DIMACS", "a zip archive"), ("DIMACS", "a tar archive"),
    ("programs.path, parquet", "a Parquet file"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", BINARY)
def test_a_binary_file_is_named_and_not_shown(reader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "given.cnf"
    path.write_bytes(BINARY[kind])
    with pytest.raises(ValueError) as caught:
        READERS[reader](path)
    message = str(caught.value).replace(str(path), "")
    assert (kind in message) != ((reader, kind) in READ_ALL_THE_SAME)
    assert message.isprintable()
    if (reader, kind) not in READ_ALL_THE_SAME:
        assert "secret" not in message


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        "é ü ✓ \u2028".encode(),
        b"a\tb\r\n\x0c\x1b[0m",
        "é".encode("latin-1"),
        b"BZ",
        b"P",
    ],
)
def test_text_is_text(text: bytes) -> None:
    assert binary_kind(text) is None
