"""Opens the place where recorded results lie: a folder or a bucket."""

from pathlib import Path

from datagen.evaluations.source import FolderSource, ResultSource


def result_source(uri: str) -> ResultSource:
    """Return the source at a URI; ValueError for one that there is not."""
    if "://" in uri and not uri.startswith("file://"):
        raise ValueError(f"--source {uri!r}: name a folder, or s3://BUCKET")
    folder = Path(uri.removeprefix("file://"))
    if not folder.is_dir():
        raise ValueError(f"--source {uri!r}: there is no such folder")
    return FolderSource(folder)
