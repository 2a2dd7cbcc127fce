"""`clutch dataset …`: the registry of named, versioned datasets that do not change."""

import datetime
import json as json_module
from dataclasses import asdict
from pathlib import Path

from cyclopts import App

from datagen.formats.export import export_rows, file_name
from datagen.formats.registry import get_format
from datagen.registry.diff import diff_versions
from datagen.registry.lineage import find_lineage
from datagen.registry.verify import verify_version
from orchestrator.commands.dataset_shown import (
    REGISTRY,
    difference_text,
    lineage_text,
    list_text,
    listed,
    local_registry,
    version_text,
)

app = App(
    name="dataset",
    help="Keep named, versioned datasets.",
    version_flags=[],  # --version is a dataset's
)
app.command(
    "orchestrator.commands.dataset_build:build",
    name="build",
    help="Build a version of a dataset, once.",
)


@app.command(name="list")
def list_versions(*, registry: Path = REGISTRY, json: bool = False) -> None:
    """List the datasets of a registry.

    Parameters
    ----------
    registry
        The registry's folder.
    json
        Print one JSON list.
    """
    entries = listed(local_registry(registry))
    if json:
        print(json_module.dumps(entries, ensure_ascii=False))
    else:
        print(list_text(entries) or f"no dataset in {registry}: clutch dataset build makes one")


@app.command
def show(key: str, /, *, registry: Path = REGISTRY, json: bool = False) -> None:
    """Show what a dataset was built of.

    Parameters
    ----------
    key
        Key of the dataset, NAME-VERSION.
    registry
        The registry's folder.
    json
        Print the manifest as one JSON object.
    """
    manifest = local_registry(registry).load(key)
    print(manifest.model_dump_json() if json else version_text(manifest))


@app.command
def verify(*keys: str, registry: Path = REGISTRY, json: bool = False) -> None:
    """Check every byte of datasets against their hashes.

    Parameters
    ----------
    keys
        Keys of the datasets; all by default.
    registry
        The registry's folder.
    json
        Print one JSON list.
    """
    there = local_registry(registry)
    chosen = keys or tuple(there.all_keys())
    if not chosen:
        raise ValueError(f"no dataset in {registry}: there is nothing to verify")
    entries, mistakes = [], []
    for key in chosen:
        try:
            made = verify_version(there, key)
        except ValueError as error:
            mistakes.append(str(error))
            entries.append({"dataset_key": key, "verified": False, "error": str(error)})
            continue
        entries.append({"dataset_key": key, "verified": True, "content_hash": made.content_hash})
        if not json:
            print(f"{key}: verified {made.trace_count:,} rows; sha256 {made.content_hash}")
    if json:
        print(json_module.dumps(entries, ensure_ascii=False))
    if mistakes:
        more = f"\n{len(mistakes)} of {len(chosen)} datasets failed" if len(chosen) > 1 else ""
        raise ValueError(f"{mistakes[0]}{more}")


@app.command
def export(
    key: str,
    /,
    *,
    format: str,
    split: str | None = None,
    out: Path | None = None,
    registry: Path = REGISTRY,
    json: bool = False,
) -> None:
    """Write a dataset in a format that other tools read.

    The same dataset gives the same bytes. A row that a format cannot carry is refused by its id.

    Parameters
    ----------
    key
        Key of the dataset, NAME-VERSION.
    format
        trace, tunix_sft, training_example, affine_grpo, affine_grpo_string, affine_sft, gradients,
        trl, verl or jsonl.
    split
        Split to export; needed if there are several.
    out
        The file; named as the format's readers expect, by default.
    registry
        The registry's folder.
    json
        Print one JSON object.
    """
    get_format(format)
    there = local_registry(registry)
    rows = there.rows(key, split)
    stem = f"{key}-{split}" if split else key
    path = out or Path(file_name(format, stem, datetime.datetime.now(datetime.UTC)))
    if path.resolve().is_relative_to(there.path(key).resolve()):
        raise ValueError(f"--out {path} is in the dataset's own folder, which does not change")
    done = export_rows(format, rows, path)
    if json:
        print(json_module.dumps({**asdict(done), "path": str(done.path)}, ensure_ascii=False))
        return
    print(f"{path}: {done.num_rows:,} rows, {done.num_bytes:,} bytes; sha256 {done.sha256}")


@app.command
def diff(a: str, b: str, /, *, registry: Path = REGISTRY, json: bool = False) -> None:
    """Compare two datasets row by row.

    Parameters
    ----------
    a
        Key of a dataset.
    b
        Key of another.
    registry
        The registry's folder.
    json
        Print one JSON object.
    """
    found = diff_versions(local_registry(registry), a, b)
    print(json_module.dumps(asdict(found)) if json else difference_text(found, a, b))


@app.command
def lineage(
    row_id: str,
    /,
    *,
    key: tuple[str, ...] = (),
    registry: Path = REGISTRY,
    json: bool = False,
) -> None:
    """Go back from a row to what made it: source, generator, seed, index and config.

    Parameters
    ----------
    row_id
        Id of the row, as exports show it.
    key
        Look in this dataset only; in all by default.
    registry
        The registry's folder.
    json
        Print one JSON list.
    """
    found = find_lineage(local_registry(registry), row_id, key)
    if json:
        entries = [{**asdict(one), "source": one.source.model_dump(mode="json")} for one in found]
        print(json_module.dumps(entries, ensure_ascii=False))
        return
    print("\n".join(map(lineage_text, found)))
