"""Traces on disk: JSONL, and a folder of it with a manifest that says what made them."""

import datetime
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datagen.binary import HEAD_BYTES, refuse_binary
from datagen.formats.containers import json_text, write_jsonl
from datagen.manifest import (
    MANIFEST,
    Record,
    check_record,
    config_identity,
    file_sha256,
    read_record,
    write_record,
)
from datagen.shards import sync, whole_folder
from datagen.traces import Trace
from datagen.whole_file import whole_file

TRACES_FORMAT = "clutch-traces-v1"
TRACES_FILE = "traces.jsonl"
MAX_LINE_BYTES = 8 << 20
"""A trace of 1 MiB with every character escaped is shorter than this."""


class TracesManifest(Record):
    """What made the traces of a folder."""

    format: str
    name: str
    generator: str
    generator_version: str
    seed: int
    config: dict[str, Any]
    config_hash: str
    num_rows: int
    num_bytes: int
    sha256: str
    created_at: str
    manifest_hash: str | None = None
    """Hash of all fields but this one; None in manifests of earlier versions."""


def write_traces(traces: Iterable[Trace], path: Path) -> None:
    """Write JSONL, one trace a line, whole or not at all, in place of any other file."""
    with whole_file(path) as file:
        write_jsonl((trace.model_dump(mode="json") for trace in traces), file)


def write_traces_folder(
    traces: Iterable[Trace],
    folder: Path,
    *,
    generator: str,
    version: str,
    config: dict[str, Any],
    seed: int,
    now: datetime.datetime,
) -> TracesManifest:
    """Write traces and their manifest as a new folder, whole or not at all, or find it there.

    Raises ValueError if something else is there, or its bytes have changed.
    """
    config_hash = config_identity(generator, version, config)
    if folder.exists():
        return _found(folder, config_hash)
    with whole_folder(folder) as partial:
        path = partial / TRACES_FILE
        write_traces(traces, path)
        with path.open("rb") as file:
            num_rows = sum(1 for _ in file)
        manifest = TracesManifest(
            format=TRACES_FORMAT,
            name=folder.name,
            generator=generator,
            generator_version=version,
            seed=seed,
            config=config,
            config_hash=config_hash,
            num_rows=num_rows,
            num_bytes=path.stat().st_size,
            sha256=file_sha256(path),
            created_at=now.isoformat(timespec="seconds"),
        )
        manifest = write_record(partial / MANIFEST, manifest)
        sync(partial / MANIFEST)
    return manifest


def _found(folder: Path, config_hash: str) -> TracesManifest:
    """The traces of a config that are there already."""
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} exists and holds no traces: choose another folder")
    manifest = load_traces_manifest(folder)
    if manifest.config_hash != config_hash:
        raise ValueError(f"{folder} holds other traces: remove it or choose another folder")
    if file_sha256(folder / TRACES_FILE) != manifest.sha256:
        raise ValueError(f"{folder / TRACES_FILE} does not match its manifest: it has changed")
    return manifest


def load_traces_manifest(folder: Path) -> TracesManifest:
    """Read the manifest of a folder of traces."""
    manifest = read_record(folder / MANIFEST, TracesManifest, "a manifest of traces")
    check_record(folder / MANIFEST, manifest, manifest.manifest_hash)
    return manifest


def read_traces(path: Path, sha256: str) -> Iterator[Trace]:
    """Yield the traces of a JSONL file, which must have that hash when its end is reached.

    Raises ValueError naming the line that is not a trace.
    """
    whole = hashlib.sha256()
    with path.open("rb") as file:
        refuse_binary(file.read(HEAD_BYTES), path, "traces as JSON Lines")
        file.seek(0)
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            whole.update(line)
            where = f"{path}:{number}"
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"{where} is over {MAX_LINE_BYTES:,} bytes: it is no trace")
            if line.strip():
                yield _trace(line, where)
    if whole.hexdigest() != sha256:
        raise ValueError(f"{path} does not have sha256 {sha256}: its bytes have changed")


def _trace(line: bytes, where: str) -> Trace:
    try:
        trace = Trace.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "trace"
        raise ValueError(f"{where} is not a trace: {field}: {first['msg']}") from None
    try:
        json_text(trace.meta)
    except ValueError:
        raise ValueError(f"{where} is not a trace: meta: holds what is no JSON number") from None
    return trace
