"""Small sources for the tests of the registry: datasets, traces, and a registry to build in."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.config import SatConfig
from datagen.dataset import build_dataset
from datagen.registry.build import Built, build_version
from datagen.registry.config import BuildConfig
from datagen.registry.opening import open_named
from datagen.registry.versions import Registry
from datagen.trace_files import write_traces
from tests.export_rows import trace_row

NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)


def sat_dataset(folder: Path, seed: int = 0, sizes: Sequence[int] = (4, 5)) -> Path:
    """60 training problems, 20 of a test split, of several sizes."""
    entries = [{"n": n, "m": 2 * n} for n in sizes]
    data = {"type": "sat", "sizes": entries, "splits": {"train": 60, "test": 20}}
    build_dataset(SatConfig.model_validate(data), folder, seed)
    return folder


def traces_file(path: Path, count: int = 12, **meta: Sequence[Any]) -> Path:
    """Traces whose meta has the values of each list by turns; None is no value."""
    traces = []
    for index in range(count):
        row = trace_row(index)
        own = {key: values[index % len(values)] for key, values in meta.items()}
        own = {key: value for key, value in own.items() if value is not None}
        traces.append(row.model_copy(update={"meta": {**(row.meta or {}), **own}}))
    write_traces(traces, path)
    return path


def built(registry: Registry, name: str, *sources: str | Path, **config: Any) -> Built:
    """Version 1 of a dataset."""
    made = BuildConfig(**{"name": name, "version": "1", **config})
    return build_version(registry, made, [open_named(str(s), registry) for s in sources], NOW)
