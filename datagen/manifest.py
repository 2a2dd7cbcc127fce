"""A dataset's manifest: what it was made of, and the sha256 of every byte of it.

`manifest.json` is written last: a folder without one is no dataset.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from datagen.binary import HEAD_BYTES, refuse_binary
from reward_fns.records import Problem

FORMAT = "clutch-dataset-v1"
MANIFEST = "manifest.json"
SCHEMA = pa.schema(
    [
        (name, pa.int64() if name == "index" else pa.string())
        for name in ("id", "task", "split", "index", "prompt", "answer", "env", "difficulty")
    ]
)


Rates = dict[str, float] | dict[str, dict[str, float]]


class Record(BaseModel):
    """A frozen part of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyRecord = TypeVar("AnyRecord", bound=Record)


class ShardInfo(Record):
    """One Parquet file."""

    file: str
    num_rows: int
    num_bytes: int
    sha256: str


class SplitInfo(Record):
    """The files of one split; rows and problems differ where rows are demonstrations."""

    num_rows: int
    num_problems: int
    shards: tuple[ShardInfo, ...]


class RepliesInfo(Record):
    """The replies of a language model that a dataset was made of."""

    base_url: str
    model: str
    num_replies: int
    """Questions that were answered or have failed, from the journal or over HTTP."""
    sha256: str
    """The hash of all of them, in the order of the questions."""


class Manifest(Record):
    """Everything about a dataset but its rows."""

    format: str
    name: str
    tasks: tuple[str, ...]
    seed: int
    generator: str
    generator_version: str
    config: dict[str, Any]
    config_hash: str
    dataset_hash: str
    columns: tuple[str, ...]
    splits: dict[str, SplitInfo]
    difficulty: dict[str, dict[str, int]]
    """Problems of each split by difficulty label."""
    chance: dict[str, Rates]
    """Success rates of answers that do not look at the problem, for each split; by task, where
    there are several."""
    chance_method: dict[str, str]
    """Whether the rates of random answers are `exact`, or `sampled` where all are too many."""
    dropped: dict[str, int]
    """Draws that were not used, by reason."""
    replies: RepliesInfo | None = None
    """What a language model had a part in; none, where none was asked."""
    created_at: str
    manifest_hash: str | None = None
    """Hash of all fields but this one; None in manifests of earlier versions."""


def canonical_hash(payload: Any) -> str:
    """Return the sha256 of a JSON value, written compactly with sorted keys."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def config_identity(generator: str, version: str, config: dict[str, Any]) -> str:
    """Return the hash of everything that a dataset's rows depend on."""
    return canonical_hash({"generator": generator, "version": version, "config": config})


def dataset_hash(config_hash: str, splits: dict[str, SplitInfo]) -> str:
    """Return the hash of a dataset: of its config and of its shards, by split and in order."""
    shards = {name: [shard.sha256 for shard in split.shards] for name, split in splits.items()}
    return canonical_hash({"config": config_hash, "shards": shards})


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a dataset; ValueError if there is none, or it is not one of ours."""
    path = folder / MANIFEST
    try:
        manifest = read_record(path, Manifest, "a dataset manifest")
    except FileNotFoundError:
        raise ValueError(f"no dataset at {folder}: it holds no {MANIFEST}") from None
    if manifest.format != FORMAT:
        raise ValueError(f"{path} has format {manifest.format!r}: this version reads {FORMAT!r}")
    check_record(path, manifest, manifest.manifest_hash)
    return manifest


def write_record(path: Path, record: AnyRecord) -> AnyRecord:
    """Write a record that has a `manifest_hash` as JSON; return it with this hash filled in."""
    sealed = record.model_copy(update={"manifest_hash": record_hash(record)})
    path.write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return sealed


def record_hash(record: Record) -> str:
    """Return the hash of all fields of a record but its `manifest_hash`."""
    return canonical_hash(record.model_dump(mode="json", exclude={"manifest_hash"}))


def read_record(path: Path, model: type[AnyRecord], what: str) -> AnyRecord:
    """Read a JSON file as `model`; ValueError says that it is not `what`, and the first reason."""
    try:
        content = path.read_bytes()
        refuse_binary(content[:HEAD_BYTES], path, what)
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ValueError(f"{path} is not {what}: {where}: {first['msg']}") from None


def check_record(path: Path, record: Record, manifest_hash: str | None) -> None:
    """Raise ValueError if a record that was read does not match its `manifest_hash`, if any."""
    if manifest_hash is not None and manifest_hash != record_hash(record):
        raise ValueError(f"{path} has been changed: it does not match its manifest_hash")


def verify_dataset(folder: Path) -> Manifest:
    """Read every byte of a dataset and return its manifest.

    Raises ValueError naming the file that is missing or whose bytes differ from the manifest.
    """
    manifest = load_manifest(folder)
    for split in manifest.splits.values():
        for shard in split.shards:
            _check_shard(folder / shard.file, shard)
    config_hash = config_identity(manifest.generator, manifest.generator_version, manifest.config)
    if config_hash != manifest.config_hash:
        raise ValueError(f"{folder / MANIFEST}: config does not match its config_hash")
    if dataset_hash(config_hash, manifest.splits) != manifest.dataset_hash:
        raise ValueError(f"{folder / MANIFEST}: shards do not match the dataset_hash")
    return manifest


def read_split(folder: Path, split: str) -> Iterator[Problem]:
    """Yield the rows of a split in order, each file checked against the manifest first.

    Raises ValueError for a split there is not (naming those there are), or bytes that differ.
    """
    manifest = load_manifest(folder)
    if split not in manifest.splits:
        known = ", ".join(manifest.splits)
        raise ValueError(f"dataset {folder} has no split {split!r}: it has {known}")
    for shard in manifest.splits[split].shards:
        path = folder / shard.file
        _check_shard(path, shard)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096, columns=SCHEMA.names):
                columns = [batch.column(name).to_pylist() for name in SCHEMA.names]
                yield from map(Problem, *columns)


def _check_shard(path: Path, shard: ShardInfo) -> None:
    if Path(shard.file).name != shard.file:
        raise ValueError(f"manifest names {shard.file!r}: a shard lies in the dataset's own folder")
    if not path.is_file():
        raise ValueError(f"{path} is missing: generate the dataset again or restore the file")
    if path.stat().st_size != shard.num_bytes or file_sha256(path) != shard.sha256:
        raise ValueError(
            f"{path} does not match its manifest: its bytes have changed; restore the file, or "
            "remove the folder and make the dataset again"
        )
