"""Opens what `clutch dataset build --from` names: here, in a registry, or in a bucket.

What lies in a bucket is copied to a temporary folder first, file by file as its manifest names
them, each checked by its hash: Parquet is not read from front to back.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from datagen.manifest import FORMAT, MANIFEST, load_manifest
from datagen.registry.manifest import VERSION_FORMAT, load_version_manifest
from datagen.registry.opening import manifest_format, open_named, open_source
from datagen.registry.rows import RowSource
from datagen.registry.versions import Registry
from datagen.trace_files import TRACES_FILE, TRACES_FORMAT, load_traces_manifest
from orchestrator.storage.folder import Folder
from orchestrator.storage.location import S3Location, check_name, parse_location
from orchestrator.storage.opening import open_beside, open_folder

COPY_BYTES = 2**20
MAX_MANIFEST_BYTES = 2**26


@contextmanager
def open_sources(names: Sequence[str], registry: Registry) -> Iterator[list[RowSource]]:
    """Yield the sources that keys, paths and `s3://` URIs name, as long as the block lasts."""
    copies: dict[str, Path] = {}
    try:
        with ExitStack() as stack:
            for name in names:
                if isinstance(parse_location(name), S3Location):
                    folder = stack.enter_context(TemporaryDirectory(prefix="clutch-source-"))
                    file = name.rpartition("/")[2] if name.endswith(".jsonl") else ""
                    copies[name] = Path(folder, file)
            yield [
                _fetched(name, copies[name]) if name in copies else open_named(name, registry)
                for name in names
            ]
    except ValueError as error:
        # What is wrong with a copy is wrong with what it is a copy of.
        text = str(error)
        if not any(str(copy) in text for copy in copies.values()):
            raise
        for name, copy in copies.items():
            text = text.replace(str(copy), name)
        raise ValueError(text) from None


def _fetched(name: str, copy: Path) -> RowSource:
    """Copy a source out of its bucket to `copy`, a file of traces or a folder, and open it."""
    if name.endswith(".jsonl"):
        _copy(*open_beside(name), copy.parent)
        return open_source(copy, name)
    folder = open_folder(name)
    _copy(folder, MANIFEST, copy, most=MAX_MANIFEST_BYTES)
    for file, sha256 in _listed(copy, folder.uri).items():
        _copy(folder, check_name(file), copy, sha256)
    return open_source(copy, name)


def _listed(copy: Path, uri: str) -> dict[str, str]:
    """The files that a manifest names, with their hashes."""
    found = manifest_format(copy / MANIFEST)
    if found == VERSION_FORMAT:
        files = load_version_manifest(copy).files
        return {name: info.sha256 for name, info in files.items()}
    if found == TRACES_FORMAT:
        return {TRACES_FILE: load_traces_manifest(copy).sha256}
    if found != FORMAT:
        raise ValueError(f"{uri}/{MANIFEST} has format {found!r}: it is no dataset of ours")
    splits = load_manifest(copy).splits.values()
    return {shard.file: shard.sha256 for split in splits for shard in split.shards}


def _copy(
    folder: Folder, name: str, copy: Path, sha256: str | None = None, most: int | None = None
) -> None:
    """Copy a file of a folder to its place below `copy`."""
    path = copy / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with folder.open_read(name, sha256=sha256) as source, path.open("wb") as target:
        if most is None:
            shutil.copyfileobj(source, target, COPY_BYTES)
            return
        data = source.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{folder.uri_of(name)} is over {most:,} bytes: it is no manifest")
        target.write(data)
