"""`clutch dataset build NAME --version V --from URI`: a new version, of rows that are chosen."""

import datetime
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from datagen.registry.build import Built, build_version
from datagen.registry.config import BuildConfig
from datagen.registry.filters import parse_filters
from datagen.registry.versions import Registry
from orchestrator.commands.arguments import config_from
from orchestrator.commands.dataset_shown import REGISTRY, local_registry
from orchestrator.dataset_sources import open_sources
from orchestrator.progress import Progress


def build(
    name: str,
    /,
    *,
    version: str,
    from_: tuple[str, ...] = (),
    filter: tuple[str, ...] = (),
    strategy: Literal["latest", "random"] = "latest",
    seed: int | None = None,
    limit: int | None = None,
    session_id: str | None = None,
    parent_dataset_id: str | None = None,
    training_run_id: str | None = None,
    provenance: tuple[str, ...] = (),
    registry: Path = REGISTRY,
    json: bool = False,
) -> None:
    """Build a version of a dataset, once.

    The same rows again change nothing; other rows under the same name and version are refused.

    Parameters
    ----------
    name
        Name of the dataset; with the version it makes the key, NAME-VERSION.
    version
        Version of the dataset.
    from_
        A dataset's folder, a .jsonl file of traces, a key of the registry, or s3://BUCKET/KEY of
        one of the first two; several are read in this order.
    filter
        KEY=VALUE that rows must have: a column, difficulty.KEY of problems, or meta.KEY of traces.
        Of several, all must hold.
    strategy
        Rows that a limit leaves: the latest (by meta.created_at, then those read last), or a
        random sample.
    seed
        Seed of the random sample.
    limit
        Most rows; all by default.
    session_id
        Noted in the manifest.
    parent_dataset_id
        Noted in the manifest; the key of the only source, by default.
    training_run_id
        Noted in the manifest.
    provenance
        KEY=VALUE, noted in the manifest.
    registry
        The registry's folder.
    json
        Print the manifest as one JSON object.
    """
    there = local_registry(registry)
    data = {
        "name": name,
        "version": version,
        "filters": parse_filters(filter),
        "strategy": strategy,
        "seed": seed,
        "limit": limit,
        "session_id": session_id,
        "parent_dataset_id": parent_dataset_id,
        "training_run_id": training_run_id,
        "provenance": _noted(provenance),
    }
    config = config_from(BuildConfig, data, flags={"filters": "filter"})
    if not from_:
        raise ValueError("--from is missing: name a dataset's folder, a .jsonl file or a key")
    now = datetime.datetime.now(datetime.UTC)
    with Progress() as progress, ExitStack() as stack:
        with progress.waiting("the sources"):
            sources = stack.enter_context(open_sources(from_, there))
        with progress.task(f"build {config.key}") as task:
            built = build_version(
                there, config, sources, now, lambda read, taken: task.update(read, taken=taken)
            )
    print(built.manifest.model_dump_json() if json else _told(built, there))


def _noted(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for key, equals, value in pairs:
        if not (key and equals):
            raise ValueError(f"--provenance {key + equals + value!r} is no KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _told(built: Built, registry: Registry) -> str:
    made = built.manifest
    what = "" if built.is_new else " there already with the same rows;"
    lines = [
        f"{registry.path(made.dataset_key)}:{what} {made.trace_count:,} {made.kind}; "
        f"sha256 {made.content_hash}"
    ]
    if built.differing:
        lines.append(f"its manifest is kept, which has other {', '.join(built.differing)}")
    dropped = [f"{count:,} {reason}" for reason, count in made.dropped.items() if count]
    if dropped and built.is_new:
        lines.append(f"not used: {', '.join(dropped)}")
    return "\n".join([*lines, f"next: clutch dataset export {made.dataset_key} --format FORMAT"])
