"""Opens what `--from` names: a dataset folder, JSONL of traces, or a version of the registry.

A word without a slash is a key, if the registry has it; anything else is a path.
"""

import json
from pathlib import Path

from datagen.manifest import FORMAT, MANIFEST, load_manifest
from datagen.registry.manifest import VERSION_FORMAT, load_version_manifest
from datagen.registry.rows import RowSource
from datagen.registry.sources import DatasetSource, VersionSource, traces_file, traces_folder
from datagen.registry.versions import Registry
from datagen.trace_files import TRACES_FORMAT, load_traces_manifest


def open_named(name: str, registry: Registry) -> RowSource:
    """Return the source that a key of the registry or a path names; ValueError for others."""
    if registry.has(name):
        if Path(name).exists() and not Path(name).samefile(registry.path(name)):
            raise ValueError(
                f"{name!r} is both a dataset of the registry and a path here: "
                f"write {registry.path(name)} or ./{name}"
            )
        return VersionSource(registry.path(name), registry.load(name), name)
    path = Path(name)
    if not path.exists():
        raise ValueError(
            f"no source {name!r}: name a dataset's folder, a .jsonl file of traces, or a dataset "
            f"of {registry.folder} (clutch dataset list shows them)"
        )
    return open_source(path, name)


def open_source(path: Path, uri: str) -> RowSource:
    """Return the source at a path; `uri` is where it is from, for messages and manifests."""
    if path.is_file():
        if path.suffix != ".jsonl":
            raise ValueError(f"{uri} is no source: a file of traces ends with .jsonl")
        return traces_file(path, uri)
    if not (path / MANIFEST).is_file():
        raise ValueError(f"{uri} is no source: the folder holds no {MANIFEST}")
    found = manifest_format(path / MANIFEST)
    if found == VERSION_FORMAT:
        return VersionSource(path, load_version_manifest(path), uri)
    if found == TRACES_FORMAT:
        return traces_folder(path, load_traces_manifest(path), uri)
    if found != FORMAT:
        raise ValueError(f"{uri} is no source: its {MANIFEST} has format {found!r}")
    return DatasetSource(path, load_manifest(path), uri)


def manifest_format(path: Path) -> str:
    """Return what kind of manifest a file is; that of datasets where it does not say."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return FORMAT
    return str(found.get("format", FORMAT)) if isinstance(found, dict) else FORMAT
