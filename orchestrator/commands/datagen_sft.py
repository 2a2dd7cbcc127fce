"""`clutch datagen sft --source URI`: SFT data from recorded evaluations, the good ones only."""

import datetime
from io import StringIO
from pathlib import Path

from datagen.evaluations.collect import KEPT, Collection
from datagen.evaluations.config import EvaluationsConfig
from datagen.evaluations.dataset import (
    refuse_existing,
    told,
    upstream_file,
    write_evaluations,
)
from datagen.evaluations.reading import READ
from datagen.evaluations.verify import Agreement
from datagen.formats.affine_sft import STEM
from orchestrator.commands.arguments import config_from
from orchestrator.commands.upload_plan import plan_upload
from orchestrator.progress import Progress
from orchestrator.result_sources import result_source

UPLOAD_PREFIX = "affine_data"
"""Where upstream's readers look for its file."""


def sft(
    *,
    source: str,
    max_results: int | None = None,
    min_score: float = 0.5,
    tail: int = 100,
    env: str = "",
    out: Path | None = None,
    verify: bool = False,
    upload: bool = False,
    presign_hours: int | None = None,
    delete_local: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> None:
    """Make SFT data of recorded evaluations, the newest first.

    Writes a dataset, and beside its folder the same rows as Affine's own file. Rows that are
    broken, empty, too low or seen before are counted by reason; broken objects never end it.

    Parameters
    ----------
    source
        The folder, or s3://BUCKET, that holds affine/index.json.
    max_results
        Most rows to keep; all by default.
    min_score
        Least recorded score of a row that is kept.
    tail
        Blocks back from the newest window of the index.
    env
        Environments to keep, as sat,abd; all by default.
    out
        The dataset's folder, affine_data_<time> by default; with .json behind it, Affine's file.
    verify
        Score SAT and ABD rows with our own rewards too, and show how often the record differs.
    upload
        Put the dataset and Affine's file, as affine_data/NAME, in $S3_BUCKET_NAME.
    presign_hours
        Print URLs that read what was uploaded without keys for so many hours, 168 at most.
    delete_local
        Remove the local copies once every byte is confirmed to be there.
    dry_run
        Read and count, and write nothing.
    quiet
        No progress, and one line at the end.
    """
    names = [name.strip().lower() for name in env.split(",") if name.strip()]
    data = {"max_results": max_results, "min_score": min_score, "tail": tail, "env": names}
    config = config_from(EvaluationsConfig, {**data, "verify": verify})
    now = datetime.datetime.now(datetime.UTC)
    folder = out or Path(now.strftime(STEM))
    plan = plan_upload(upload, presign_hours, delete_local, dry_run)
    if not dry_run:
        refuse_existing(folder)
    opened = result_source(source)
    with Progress(StringIO() if quiet else None) as progress:
        with progress.waiting("the index"):
            collection = Collection(opened, config)
        total = len(collection.chosen.keys)
        with progress.task("read results", total) as task:
            collection.progress = lambda done, kept: task.update(done, kept=kept)
            line = _counted(collection) if dry_run else _written(collection, folder, now)
    print("\n".join([line] if quiet else [line, *_counts(collection)]))
    if plan is not None:
        for told_once in (*plan.file(upstream_file(folder), UPLOAD_PREFIX), *plan.dataset(folder)):
            print(told_once)


def _counted(collection: Collection) -> str:
    """Read all, and write nothing."""
    for _ in collection:
        pass
    return f"dry run: {collection.rows[KEPT]:,} rows would be kept, none is written"


def _written(collection: Collection, folder: Path, now: datetime.datetime) -> str:
    """Read all, and write what is kept."""
    manifest, exported = write_evaluations(collection, folder, now)
    return f"{exported.path}: {exported.num_rows:,} rows; sha256 {manifest.dataset_hash}"


def _counts(collection: Collection) -> list[str]:
    """What was read, what became of it, and how far the record can be trusted."""
    chosen, objects = collection.chosen, dict(sorted(collection.objects.items()))
    windows = f"windows {chosen.first_window} to {chosen.last_window}"
    strange = f"; {chosen.num_strange:,} index entries are no results" if chosen.num_strange else ""
    absent = [name for name in collection.config.env if name not in collection.tasks]
    lines = [
        f"objects: {objects.pop(READ, 0):,} read of {len(chosen.keys):,} in {windows}"
        + (f"; {told(objects)}" if objects else "")
        + strange,
        f"rows: {collection.rows[KEPT]:,} kept of {collection.rows.total():,}",
    ]
    lines += [f"not used: {count:,} {reason}" for reason, count in collection.unused_rows.items()]
    lines += [f"--env {name}: no row is kept" for name in absent]
    return lines + [_agreement(*item) for item in sorted(collection.agreements.items())]


def _agreement(task: str, found: Agreement) -> str:
    if found.disagreement is None:
        return f"verified {task}: none of {found.num_rows:,} rows: our reward gave no score"
    unscored = f", {found.num_unscored:,} not scored" if found.num_unscored else ""
    return (
        f"verified {task}: the record differs in {100 * found.disagreement:.1f} % of "
        f"{found.num_rows - found.num_unscored:,} rows ({found.num_recorded_higher:,} recorded "
        f"higher, {found.num_recorded_lower:,} lower{unscored})"
    )
