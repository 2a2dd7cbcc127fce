"""A registry: a folder whose subfolders are versions, each named by its key."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from datagen.formats.rows import Row
from datagen.manifest import MANIFEST
from datagen.registry.manifest import VersionManifest, load_version_manifest
from datagen.registry.stored import split_rows


@dataclass(frozen=True)
class Registry:
    """The versions in a folder, which is made with the first of them."""

    folder: Path

    def all_keys(self) -> list[str]:
        """Return the keys of all versions, sorted."""
        if not self.folder.is_dir():
            return []
        found = (path for path in self.folder.iterdir() if (path / MANIFEST).is_file())
        return sorted(path.name for path in found if not path.name.startswith("."))

    def has(self, key: str) -> bool:
        """Whether there is a version of that key."""
        return bool(key) and Path(key).name == key and (self.path(key) / MANIFEST).is_file()

    def path(self, key: str) -> Path:
        """Return the folder of a version."""
        return self.folder / key

    def load(self, key: str) -> VersionManifest:
        """Return the manifest of a version; ValueError where there is none, or it is broken."""
        if not self.has(key):
            raise ValueError(f"no dataset {key!r} in {self.folder}: {self._known(key)}")
        manifest = load_version_manifest(self.path(key))
        if manifest.dataset_key != key:
            raise ValueError(
                f"{self.path(key)} holds dataset {manifest.dataset_key!r}: name its folder so"
            )
        return manifest

    def rows(self, key: str, split: str | None = None) -> Iterator[Row]:
        """Return the rows of a split, or of the only one there is."""
        manifest = self.load(key)
        splits = list(manifest.rows)
        known = ", ".join(splits)
        if split is None and len(splits) > 1:
            raise ValueError(f"dataset {key!r} has splits {known}: choose one (--split)")
        if split is not None and split not in splits:
            raise ValueError(f"dataset {key!r} has no split {split!r}: it has {known}")
        return split_rows(self.path(key), manifest, split or splits[0])

    def _known(self, key: str) -> str:
        keys = self.all_keys()
        if near := get_close_matches(key, keys, n=1):
            return f"did you mean {near[0]!r}?"
        if not keys:
            return "it holds none"
        more = f" and {len(keys) - 5:,} more" if len(keys) > 5 else ""
        return f"it holds {', '.join(keys[:5])}{more}"
