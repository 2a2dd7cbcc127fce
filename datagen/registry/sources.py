"""Sources that lie in files of this machine: dataset folders, JSONL of traces, and versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datagen.manifest import Manifest, file_sha256, read_split
from datagen.registry.manifest import Kind, SourceInfo, VersionManifest, Via
from datagen.registry.rows import SourcedRow
from datagen.registry.stored import stored_rows
from datagen.trace_files import TRACES_FILE, TracesManifest, read_traces


@dataclass(frozen=True)
class DatasetSource:
    """A dataset of problems, split after split."""

    folder: Path
    manifest: Manifest
    uri: str
    kind: Kind = "problems"
    version: Via | None = None

    @property
    def infos(self) -> tuple[SourceInfo, ...]:
        """The dataset."""
        return (_info(self.kind, self.uri, self.manifest, self.manifest.dataset_hash),)

    def rows(self) -> Iterator[SourcedRow]:
        """Yield the rows of all splits, each file checked first."""
        position = 0
        for split in self.manifest.splits:
            for row in read_split(self.folder, split):
                yield SourcedRow(row, 0, position)
                position += 1


@dataclass(frozen=True)
class TracesSource:
    """Traces of a JSONL file, from a folder that says what made them, or by itself."""

    path: Path
    info: SourceInfo
    kind: Kind = "traces"
    version: Via | None = None

    @property
    def uri(self) -> str:
        """Where it was read."""
        return self.info.uri

    @property
    def infos(self) -> tuple[SourceInfo, ...]:
        """The file."""
        return (self.info,)

    def rows(self) -> Iterator[SourcedRow]:
        """Yield the traces; at the end of the file its bytes have been checked."""
        for position, trace in enumerate(read_traces(self.path, self.info.sha256)):
            yield SourcedRow(trace, 0, position)


@dataclass(frozen=True)
class VersionSource:
    """A version of a registry: its rows keep what made them, and note that they came through it."""

    folder: Path
    manifest: VersionManifest
    uri: str

    @property
    def kind(self) -> Kind:
        """What its rows are."""
        return self.manifest.kind

    @property
    def version(self) -> Via:
        """Itself."""
        made = self.manifest
        return Via(dataset_key=made.dataset_key, content_hash=made.content_hash)

    @property
    def infos(self) -> tuple[SourceInfo, ...]:
        """What made its rows."""
        return tuple(
            info.model_copy(update={"via": (*info.via, self.version)})
            for info in self.manifest.sources
        )

    def rows(self) -> Iterator[SourcedRow]:
        """Yield the rows of all splits, each file checked first."""
        for split in self.manifest.rows:
            yield from stored_rows(self.folder, self.manifest, split)


def traces_folder(folder: Path, manifest: TracesManifest, uri: str) -> TracesSource:
    """Return a folder of traces as a source."""
    return TracesSource(folder / TRACES_FILE, _info("traces", uri, manifest, manifest.sha256))


def traces_file(path: Path, uri: str) -> TracesSource:
    """Return a JSONL file of traces as a source."""
    info = SourceInfo(kind="traces", uri=uri, name=path.stem, sha256=file_sha256(path))
    return TracesSource(path, info)


def _info(kind: Kind, uri: str, manifest: Manifest | TracesManifest, sha256: str) -> SourceInfo:
    return SourceInfo(
        kind=kind,
        uri=uri,
        name=manifest.name,
        generator=manifest.generator,
        generator_version=manifest.generator_version,
        seed=manifest.seed,
        config_hash=manifest.config_hash,
        sha256=sha256,
    )
