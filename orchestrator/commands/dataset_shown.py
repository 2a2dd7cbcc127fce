"""What the commands of the registry print, and the registry that they open."""

from pathlib import Path
from typing import Any

from datagen.registry.diff import CHANGED, ONLY_FIRST, ONLY_SECOND, SAME, Difference
from datagen.registry.lineage import Lineage
from datagen.registry.manifest import VersionManifest
from datagen.registry.versions import Registry
from orchestrator.storage.location import S3Location, parse_location

REGISTRY = Path("datasets")


def local_registry(folder: Path) -> Registry:
    """Return the registry in a folder of this machine; ValueError for a file or a URI."""
    # A path has lost one slash of a URI by now.
    text = str(folder).replace("s3:/", "s3://", 1) if str(folder).startswith("s3:/") else folder
    if isinstance(parse_location(text), S3Location):
        raise ValueError(
            f"--registry {text}: a registry is a folder of this machine; clutch publish uploads "
            "the problems of a version"
        )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--registry {folder} is a file: name a folder")
    return Registry(folder)


def listed(registry: Registry) -> list[dict[str, Any]]:
    """Return a line's figures of every version; of a broken one, its key and what is wrong."""
    return [_entry(registry, key) for key in registry.all_keys()]


def _entry(registry: Registry, key: str) -> dict[str, Any]:
    try:
        made = registry.load(key)
    except ValueError as error:
        return {"dataset_key": key, "error": str(error)}
    kept = ("dataset_key", "dataset_name", "dataset_version", "kind", "trace_count", "created_at")
    data = made.model_dump(mode="json", include={*kept, "content_hash"})
    return {name: data[name] for name in (*kept, "content_hash")}


def list_text(entries: list[dict[str, Any]]) -> str:
    """Return aligned lines: key, rows, kind, time and the first of the hash."""
    width = max((len(entry["dataset_key"]) for entry in entries), default=0)
    lines = []
    for entry in entries:
        head = f"{entry['dataset_key']:{width}}"
        if "error" in entry:
            lines.append(f"{head}  broken: {entry['error']}")
            continue
        rows = f"{entry['trace_count']:>12,} {entry['kind']:8}"
        lines.append(f"{head} {rows}  {entry['created_at']}  {entry['content_hash'][:12]}")
    return "\n".join(lines)


def version_text(made: VersionManifest) -> str:
    """Return what a manifest says, in lines."""
    strategy = made.selection_strategy + (f", seed {made.seed}" if made.seed is not None else "")
    most = "all rows" if made.limit is None else f"at most {made.limit:,} rows, {strategy}"
    filters = " ".join(f"{key}={value}" for key, value in made.filters.items()) or "none"
    dropped = ", ".join(f"{n:,} {why}" for why, n in made.dropped.items()) or "nothing"
    stats = made.stats
    steps = f"{stats.min_step_count} to {stats.max_step_count}, {stats.avg_step_count:.1f} on mean"
    lines = [
        f"{made.dataset_key}: {made.trace_count:,} {made.kind}; sha256 {made.content_hash}",
        f"created {made.created_at}, build {made.build_id}",
        f"splits: {', '.join(made.rows)}",
        f"filters: {filters}; {most}; not used: {dropped}",
        f"steps: {steps}; {stats.avg_total_chars:,.1f} characters on mean",
    ]
    noted = ("session_id", "parent_dataset_id", "training_run_id")
    lines += [f"{name}: {value}" for name in noted if (value := getattr(made, name)) is not None]
    lines += [f"provenance {key}: {value}" for key, value in made.provenance.items()]
    for info in made.sources:
        lines.append(f"from {info.uri}")
        lines += [f"  {line}" for line in _source_lines(info.model_dump())]
    return "\n".join(lines)


def lineage_text(found: Lineage) -> str:
    """Return the way back from a row, in lines."""
    info = found.source.model_dump()
    lines = [
        f"{found.row_id} in {found.dataset_key} (sha256 {found.content_hash})",
        f"  split {found.split}, index {found.index}",
        *(f"  through {via['dataset_key']} (sha256 {via['content_hash']})" for via in info["via"]),
        f"  from {info['uri']}, row {found.position} counted from 0",
        *(f"  {line}" for line in _source_lines(info)),
    ]
    if found.meta:
        lines.append("  meta: " + ", ".join(f"{k} {v}" for k, v in found.meta.items()))
    return "\n".join(lines)


def difference_text(found: Difference, first: str, second: str) -> str:
    """Return how two versions differ, in lines."""
    count = found.num_rows
    verdict = "the same rows" if found.is_same_content else "other rows"
    if not found.is_same_content and count[SAME] == sum(count.values()):
        verdict = "the same rows in another order"
    lines = [
        f"{first} and {second}: {verdict}",
        f"{count[SAME]:,} rows are the same, {count[CHANGED]:,} changed, "
        f"{count[ONLY_FIRST]:,} only in {first}, {count[ONLY_SECOND]:,} only in {second}",
    ]
    words = {CHANGED: "changed", ONLY_FIRST: f"only in {first}", ONLY_SECOND: f"only in {second}"}
    for sort, ids in found.examples.items():
        if ids:
            more = f" and {count[sort] - len(ids):,} more" if count[sort] > len(ids) else ""
            lines.append(f"{words[sort]}: {', '.join(ids)}{more}")
    told = {name: pair for name, pair in found.fields.items() if name != "sources"}
    lines += [f"{name}: {one} and {two}" for name, (one, two) in told.items()]
    return "\n".join([*lines, *(["sources differ"] if "sources" in found.fields else [])])


def _source_lines(info: dict[str, Any]) -> list[str]:
    lines = [f"{info['kind']} {info['name']}, sha256 {info['sha256']}"]
    if info["generator"] is None:
        return [*lines, "it came without a manifest: its rows say themselves what made them"]
    made = f"{info['generator']} {info['generator_version']}, seed {info['seed']}"
    return [*lines, f"generator {made}, config {info['config_hash']}"]
