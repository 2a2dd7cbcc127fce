"""Builds datasets on disk: Parquet shards and, written last, a manifest that hashes them.

    build_dataset(SatConfig(sizes=[SizeConfig(n=5, m=12)], splits={"test": 1000}), folder, seed=0)

A second call with the same config and seed finds the dataset and does nothing; a call that was
interrupted leaves no manifest, and the next one makes the same bytes.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen.abd import TASK as ABD
from datagen.abd_config import AbdConfig, ProceduralPrograms
from datagen.abd_given_source import AbdGivenSource
from datagen.abd_source import AbdSource
from datagen.config import DatasetConfig, DimacsConfig, MixConfig, PathConfig, SatConfig
from datagen.dimacs_source import DimacsSource
from datagen.manifest import (
    FORMAT,
    MANIFEST,
    SCHEMA,
    Manifest,
    config_identity,
    dataset_hash,
    load_manifest,
    read_split,
    verify_dataset,
    write_record,
)
from datagen.mix_source import MixSource
from datagen.replies import OpenResponder
from datagen.sat import TASK as SAT
from datagen.sat_source import SatSource
from datagen.shards import sync, whole_folder
from datagen.source import Progress, Source, Written

__all__ = ["build_dataset", "dataset_folder", "load_manifest", "read_split", "verify_dataset"]

GENERATOR_VERSION = "1"
"""Raised whenever the same config and seed would give other rows."""


def build_dataset(
    config: DatasetConfig,
    folder: Path,
    seed: int,
    progress: Progress | None = None,
    open_responder: OpenResponder | None = None,
) -> Manifest:
    """Make the dataset of a config in `folder`, or find it there, and return its manifest.

    A `path` config names a dataset that exists, wherever `folder` points (see `dataset_folder`): it
    is verified. `progress` is called with split, problems done and problems in all;
    `open_responder` opens the language model of a config that asks for proposed inputs. Raises
    ValueError if `folder` holds another dataset, other files, or bytes that have changed.
    """
    if isinstance(config, PathConfig):
        return verify_dataset(Path(config.path))
    source = open_source(config, seed, open_responder)
    identity = identify(source)
    found = find_dataset(folder, identity.config_hash)
    if found is not None:
        return found
    with whole_folder(folder) as partial:
        written = source.write(partial, progress or _silent)
        manifest = write_manifest(partial, folder.name, source, identity, written)
    # Arrow keeps the freed tables' memory, which what follows in this process has a use for.
    pa.default_memory_pool().release_unused()
    return manifest


def dataset_folder(config: DatasetConfig, folder: Path) -> Path:
    """Return where the dataset of a config lies: `folder`, or the path that the config names."""
    return Path(config.path) if isinstance(config, PathConfig) else folder


@dataclass(frozen=True, slots=True)
class Identity:
    """What a dataset's rows depend on, and the hash of it."""

    resolved: dict[str, Any]
    config_hash: str


def identify(source: Source) -> Identity:
    """Return the identity of what a source makes."""
    resolved = source.resolved()
    return Identity(resolved, config_identity(source.generator, GENERATOR_VERSION, resolved))


def open_source(
    config: SatConfig | AbdConfig | MixConfig | DimacsConfig,
    seed: int,
    open_responder: OpenResponder | None = None,
) -> Source:
    """Return what makes the dataset of a config."""
    if isinstance(config, DimacsConfig):
        return DimacsSource(config, seed)
    own = seed if config.seed is None else config.seed
    if isinstance(config, MixConfig):
        parts = {SAT: config.sat_config(), ABD: config.abd_config()}
        sources = {t: open_source(part, own, open_responder) for t, part in parts.items() if part}
        return MixSource(config, sources, own)
    if isinstance(config, SatConfig):
        return SatSource(config, own)
    if isinstance(config.programs, ProceduralPrograms):
        return AbdSource(config, own)
    return AbdGivenSource(config, own, open_responder)


def find_dataset(folder: Path, config_hash: str) -> Manifest | None:
    """Return the verified dataset in `folder` if it is that of the config, None for no files.

    Raises ValueError if `folder` holds another dataset, other files, or bytes that have changed.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} is not empty and holds no dataset: choose another folder")
    manifest = verify_dataset(folder)
    if manifest.config_hash != config_hash:
        raise ValueError(
            f"{folder} holds a dataset of another config or seed: remove it or choose another"
        )
    return manifest


def write_manifest(
    folder: Path, name: str, source: Source, identity: Identity, written: Written
) -> Manifest:
    """Write the manifest of the dataset `name`, whose shards lie in `folder`, and return it."""
    path = folder / MANIFEST
    manifest = write_record(path, _manifest(name, source, identity, written))
    sync(path)
    return manifest


def _manifest(name: str, source: Source, identity: Identity, written: Written) -> Manifest:
    splits = {split: parts.info for split, parts in written.splits.items()}
    return Manifest(
        format=FORMAT,
        name=name,
        tasks=source.tasks,
        seed=source.seed,
        generator=source.generator,
        generator_version=GENERATOR_VERSION,
        config=identity.resolved,
        config_hash=identity.config_hash,
        dataset_hash=dataset_hash(identity.config_hash, splits),
        columns=tuple(SCHEMA.names),
        splits=splits,
        difficulty={split: dict(parts.difficulty) for split, parts in written.splits.items()},
        chance={split: parts.chance.rates() for split, parts in written.splits.items()},
        chance_method={split: parts.chance.method for split, parts in written.splits.items()},
        dropped=written.dropped,
        replies=written.replies,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _silent(split: str, done: int, total: int) -> None:
    """Report nothing."""
