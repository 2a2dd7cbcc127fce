"""Where a command's dataset goes: a folder, and from there to a bucket if that is asked for."""

import json
from dataclasses import dataclass
from pathlib import Path

from datagen.manifest import MANIFEST
from orchestrator.commands.upload_plan import plan_upload, shown_urls, uploaded
from orchestrator.storage.folder import Folder
from orchestrator.storage.location import S3Location, parse_location
from orchestrator.storage.opening import open_folder
from orchestrator.storage.presign import check_presign_hours, presigned_url
from orchestrator.storage.publish import MAX_MANIFEST_BYTES, publish_folder
from orchestrator.storage.settings import read_settings

MADE_IN = Path("data")
"""Where a dataset is made that goes to a bucket."""


@dataclass(frozen=True)
class DatasetTarget:
    """The folder in which a dataset is made, and the one that it is uploaded to, if any."""

    folder: Path
    bucket: Folder | None = None
    presign_hours: int | None = None
    delete_local: bool = False

    @property
    def place(self) -> Path | str:
        """Where the dataset is: its folder, or the bucket's if that alone was kept."""
        if self.bucket is None or self.folder.exists():
            return self.folder
        return self.bucket.uri

    def found(self, config_hash: str) -> list[str] | None:
        """Return lines about this very dataset if it is in the bucket, and nothing of it here."""
        if self.bucket is None or self.folder.exists() or not self.bucket.exists(MANIFEST):
            return None
        with self.bucket.open_read(MANIFEST) as file:
            manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
        if manifest.get("config_hash") != config_hash:
            raise ValueError(f"{self.bucket.uri} already holds another dataset: choose another")
        shards = [s["file"] for split in manifest["splits"].values() for s in split["shards"]]
        head = f"{self.bucket.uri}: is there already; sha256 {manifest['dataset_hash']}"
        if self.presign_hours is None:
            return [head]
        names = [*shards, MANIFEST]
        urls = {name: presigned_url(self.bucket, name, self.presign_hours) for name in names}
        return [head, *shown_urls(urls)]

    def publish(self) -> list[str]:
        """Upload the dataset where that is asked for; return lines to print once."""
        if self.bucket is None:
            return []
        done = publish_folder(
            self.folder,
            self.bucket,
            presign_hours=self.presign_hours,
            delete_local=self.delete_local,
        )
        return uploaded(done)


def dataset_target(
    out: str, upload: bool, presign_hours: int | None, delete_local: bool, dry_run: bool
) -> DatasetTarget:
    """Return where a dataset goes; raises ValueError for flags that do not go together."""
    location = parse_location(out)
    if isinstance(location, Path):
        plan = plan_upload(upload, presign_hours, delete_local, dry_run)
        if plan is None:
            return DatasetTarget(location)
        uri = f"s3://{plan.settings.bucket}/datasets/{location.name}"
        bucket = open_folder(uri, plan.settings)
        return DatasetTarget(location, bucket, presign_hours, delete_local)
    if upload:
        raise ValueError(f"--upload puts a local dataset in the bucket, --out {out} is in one")
    check_presign_hours(presign_hours)
    return DatasetTarget(
        _made_in(location), open_folder(out, read_settings()), presign_hours, delete_local
    )


def _made_in(location: S3Location) -> Path:
    name = location.key.rpartition("/")[2]
    if not name:
        raise ValueError(f"--out {location} names no dataset: write s3://BUCKET/NAME")
    return MADE_IN / name
