"""What a version says of itself: its manifest, and that of the dataset of its problems."""

import datetime
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.manifest import (
    FORMAT,
    MANIFEST,
    SCHEMA,
    Manifest,
    canonical_hash,
    config_identity,
    dataset_hash,
    write_record,
)
from datagen.registry.choosing import Choice
from datagen.registry.manifest import (
    SCHEMA_VERSION,
    VERSION_FORMAT,
    FileInfo,
    VersionManifest,
    sealed,
)
from datagen.registry.rows import RowSource
from datagen.registry.tally import Tally
from datagen.registry.writing import ProblemsWriter
from datagen.shards import sync

GENERATOR, GENERATOR_VERSION = "datagen.registry", "1"


def write_dataset_manifest(choice: Choice, problems: ProblemsWriter, folder: Path) -> None:
    """Write the manifest that makes the problems a dataset for all that reads datasets.

    It says nothing that another build of the same rows would not say, the time least of all.
    """
    config = _recipe(choice)
    config_hash = config_identity(GENERATOR, GENERATOR_VERSION, config)
    manifest = Manifest(
        format=FORMAT,
        name=choice.config.key,
        tasks=problems.tasks,
        seed=choice.config.seed or 0,
        generator=GENERATOR,
        generator_version=GENERATOR_VERSION,
        config=config,
        config_hash=config_hash,
        dataset_hash=dataset_hash(config_hash, problems.splits),
        columns=tuple(SCHEMA.names),
        splits=problems.splits,
        difficulty=problems.difficulty,
        chance={split: {} for split in problems.splits},
        chance_method=dict.fromkeys(problems.splits, "none"),
        dropped=dict(sorted(choice.dropped.items())),
        created_at="",
    )
    path = folder / MANIFEST
    write_record(path, manifest)
    sync(path)
    sync(folder)


def _recipe(choice: Choice) -> dict[str, Any]:
    """What the rows depend on: the config, and the sources by hash, wherever they lie."""
    kept = {"filters", "strategy", "seed", "limit"}
    sources = [info.model_dump(mode="json", exclude={"uri"}) for info in choice.infos]
    return {**choice.config.model_dump(mode="json", include=kept), "sources": sources}


def version_manifest(
    choice: Choice, tally: Tally, files: dict[str, FileInfo], now: datetime.datetime
) -> VersionManifest:
    """Return the manifest of a version, once its rows have been counted."""
    config, created_at = choice.config, now.isoformat(timespec="seconds")
    content = tally.content_hash(choice.kind)
    build = canonical_hash([config.key, content, _recipe(choice), created_at])
    return sealed(
        {
            "format": VERSION_FORMAT,
            "dataset_key": config.key,
            "build_id": str(uuid.UUID(build[:32], version=5)),
            "dataset_name": config.name,
            "dataset_version": config.version,
            "dataset_schema_version": SCHEMA_VERSION,
            "created_at": created_at,
            "kind": choice.kind,
            "filters": config.filters,
            "selection_strategy": config.strategy,
            "seed": config.seed,
            "limit": config.limit,
            "trace_ids": tally.ids,
            "trace_count": tally.num_rows,
            "stats": tally.stats,
            "dropped": dict(sorted(choice.dropped.items())),
            "session_id": config.session_id,
            "parent_dataset_id": config.parent_dataset_id or _parent(choice.sources),
            "training_run_id": config.training_run_id,
            "provenance": config.provenance,
            "sources": choice.infos,
            "rows": tally.rows,
            "content_hash": content,
            "files": files,
        }
    )


def _parent(sources: Sequence[RowSource]) -> str | None:
    """The version that is the only source."""
    version = sources[0].version if len(sources) == 1 else None
    return version.dataset_key if version else None
