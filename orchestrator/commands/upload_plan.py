"""What a command that makes data does with it afterwards: an upload that was asked for, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from orchestrator.storage.opening import open_folder
from orchestrator.storage.presign import check_presign_hours
from orchestrator.storage.publish import Published, publish_file, publish_folder
from orchestrator.storage.settings import S3Settings, read_settings


@dataclass(frozen=True)
class UploadPlan:
    """Where to put data: `settings` name the bucket."""

    settings: S3Settings
    presign_hours: int | None
    delete_local: bool

    def dataset(self, folder: Path) -> list[str]:
        """Publish a dataset as `datasets/NAME`; return lines to print once."""
        target = open_folder(f"s3://{self.settings.bucket}/datasets/{folder.name}", self.settings)
        return uploaded(
            publish_folder(
                folder,
                target,
                presign_hours=self.presign_hours,
                delete_local=self.delete_local,
            )
        )

    def file(self, path: Path, prefix: str) -> list[str]:
        """Publish a file as `PREFIX/NAME`; return lines to print once."""
        target = open_folder(f"s3://{self.settings.bucket}/{prefix}", self.settings)
        return uploaded(
            publish_file(
                path,
                target,
                path.name,
                presign_hours=self.presign_hours,
                delete_local=self.delete_local,
            )
        )


def uploaded(done: Published) -> list[str]:
    """Return lines about what was uploaded, with its URLs, to print once."""
    return [f"uploaded: {done.uri}", *shown_urls(done.urls)]


def shown_urls(urls: Mapping[str, SecretStr]) -> list[str]:
    """Return a line for each presigned URL, to print once."""
    return [f"{name} {url.get_secret_value()}" for name, url in urls.items()]


def plan_upload(
    upload: bool, presign_hours: int | None, delete_local: bool, dry_run: bool
) -> UploadPlan | None:
    """Return the plan, before any work; None without `--upload`.

    Raises ValueError for settings that are missing, more hours than S3 signs for, and flags that
    mean nothing without an upload.
    """
    check_presign_hours(presign_hours)
    if not upload:
        given = {"--presign-hours": presign_hours is not None, "--delete-local": delete_local}
        idle = [flag for flag, is_given in given.items() if is_given]
        if idle:
            raise ValueError(f"{' and '.join(idle)} need --upload: nothing is uploaded without it")
        return None
    if dry_run:
        raise ValueError("--upload and --dry-run exclude each other: a dry run writes nothing")
    return UploadPlan(read_settings(needs_bucket=True), presign_hours, delete_local)
