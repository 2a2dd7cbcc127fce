"""`clutch publish PATH [URI]`: a dataset or a file in a bucket, once and confirmed."""

import json as json_module
from collections.abc import Callable
from functools import partial
from pathlib import Path

from orchestrator.progress import Progress, Task
from orchestrator.storage.opening import open_beside, open_folder
from orchestrator.storage.presign import check_presign_hours
from orchestrator.storage.publish import Published, publish_file, publish_folder
from orchestrator.storage.settings import S3Settings, read_settings


def publish(
    path: Path,
    uri: str | None = None,
    /,
    *,
    presign_hours: int | None = None,
    delete_local: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Upload a dataset or a file, once, and confirm what arrived.

    The same call again finds equal files by their checksums and uploads nothing. The endpoint and
    the keys come from the environment or `.env`: S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY,
    S3_REGION, or AWS's own names.

    Parameters
    ----------
    path
        A dataset's folder, or a file.
    uri
        s3://BUCKET/KEY or a folder; ends with "/" to keep a file's name. By default
        s3://$S3_BUCKET_NAME/datasets/NAME for a dataset, s3://$S3_BUCKET_NAME/files/NAME for a
        file.
    presign_hours
        Print URLs that read the files without keys for so many hours, 168 at most.
    delete_local
        Remove the local copy once every byte is confirmed to be there.
    dry_run
        Say what would be uploaded, and upload nothing.
    json
        Print one JSON object.
    """
    check_presign_hours(presign_hours)
    if not path.exists():
        raise ValueError(f"no dataset or file at {path}")
    publish_there = _prepared(path, uri)
    with Progress() as progress, progress.task(f"publish {path.name}") as task:
        done = publish_there(
            presign_hours=presign_hours,
            delete_local=delete_local,
            dry_run=dry_run,
            progress=_Bytes(task),
        )
    print(_as_json(done, dry_run) if json else _as_text(done, presign_hours, dry_run))


def _prepared(path: Path, uri: str | None) -> Callable[..., Published]:
    """Return the call that publishes `path`, with its place filled in."""
    settings: S3Settings | None = None
    if uri is None:
        settings = read_settings(needs_bucket=True)
        kind = "datasets" if path.is_dir() else "files"
        uri = f"s3://{settings.bucket}/{kind}/{path.resolve().name}"
    if path.is_dir():
        return partial(publish_folder, path, open_folder(uri, settings))
    uri += path.name if uri.endswith("/") else ""
    return partial(publish_file, path, *open_beside(uri, settings))


class _Bytes:
    """Adds up the bytes of files that come one after another."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._done: dict[str, int] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        self._done[name] = done
        self._task.update(sum(self._done.values()), file=name)


def _as_json(done: Published, dry_run: bool) -> str:
    files = [
        {"name": f.name, "uri": f.uri, "num_bytes": f.num_bytes, "uploaded": f.uploaded}
        for f in done.files
    ]
    urls = {name: url.get_secret_value() for name, url in done.urls.items()}
    data = {"uri": done.uri, "dataset_hash": done.dataset_hash, "dry_run": dry_run}
    return json_module.dumps({**data, "files": files, "urls": urls})


def _as_text(done: Published, hours: int | None, dry_run: bool) -> str:
    num_bytes = sum(file.num_bytes for file in done.files)
    uploaded = "would be uploaded" if dry_run else "uploaded"
    lines = [
        f"{done.uri}: {len(done.files)} files, {num_bytes:,} bytes; {done.num_uploaded} {uploaded},"
        f" {len(done.files) - done.num_uploaded} there already"
    ]
    if done.dataset_hash:
        lines[0] += f"; sha256 {done.dataset_hash}"
    if done.urls:
        lines.append(f"readable by anyone for {hours} h, by URLs that are shown only here:")
        lines += [f"{name} {url.get_secret_value()}" for name, url in done.urls.items()]
    return "\n".join(lines)
