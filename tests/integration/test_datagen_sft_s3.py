"""`clutch datagen sft` on a bucket of a real server: thousands of results, and its failures."""

import datetime
import json
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from datagen.evaluations.collect import Collection
from datagen.evaluations.config import EvaluationsConfig
from datagen.evaluations.dataset import write_evaluations
from datagen.evaluations.source import FolderSource
from datagen.manifest import verify_dataset
from orchestrator.result_sources import StoredResults
from tests.command import clutch, succeeded
from tests.evaluation_results import Written, add_faults, write_results
from tests.storage_servers import S3Server

pytestmark = pytest.mark.integration
NOW = datetime.datetime(2026, 11, 3, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def written() -> Written:
    made = write_results(num_windows=6, num_hotkeys=25, num_rows=24)
    add_faults(made, window=5)
    return made


@pytest.fixture(scope="module")
def bucket(written: Written, moto: S3Server) -> str:
    name, client = f"results-{uuid4().hex[:8]}", moto.client()
    client.create_bucket(Bucket=name)
    for key, data in written.files().items():
        client.put_object(Bucket=name, Key=key, Body=data)
    client.close()
    return name


def test_a_bucket_gives_the_dataset_that_its_copy_in_a_folder_gives(
    bucket: str, written: Written, moto: S3Server, tmp_path: Path
) -> None:
    source = StoredResults(moto.reach(bucket, ""))
    here = FolderSource(written.save(tmp_path / "copy"))
    hashes = []
    for place, name in ((source, "there"), (here, "here")):
        collection = Collection(place, EvaluationsConfig())
        manifest, exported = write_evaluations(collection, tmp_path / name, NOW)
        assert collection.rows == written.rows
        assert collection.objects == written.outcomes
        hashes.append((manifest.dataset_hash, exported.sha256))
    assert hashes[0] == hashes[1]


def test_the_command_reads_s3_and_uploads_what_it_made(
    bucket: str, moto: S3Server, tmp_path: Path
) -> None:
    out = tmp_path / "affine_data_x"
    environment = {**moto.environment, "S3_BUCKET_NAME": bucket}
    arguments = ("--max-results", "500", "--env", "sat", "--out", out, "--upload")
    told = succeeded(
        clutch(
            "datagen", "sft", "--source", f"s3://{bucket}", *arguments, "--presign-hours", "1",
            "--delete-local", cwd=tmp_path, **environment,
        )
    )  # fmt: skip
    assert "rows: 500 kept" in told
    assert f"uploaded: s3://{bucket}/affine_data/affine_data_x.json" in told
    assert list(tmp_path.iterdir()) == []
    url = next(line.split()[1] for line in told.splitlines() if line.startswith("affine_data_x.js"))
    records = httpx2.get(url, trust_env=False).json()
    assert len(records) == 500 and {record["environment"] for record in records} == {"SAT"}
    client, folder = moto.client(), tmp_path / "back"
    folder.mkdir()
    for name in ("manifest.json", "train-00000.parquet"):
        key = f"datasets/affine_data_x/{name}"
        client.download_file(bucket, key, str(folder / name))
    client.close()
    assert verify_dataset(folder).splits["train"].num_rows == 500
    assert "X-Amz" not in (folder / "manifest.json").read_text()
    assert json.loads((folder / "manifest.json").read_text())["generator"] == "datagen.evaluations"


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("s3://no-such-bucket", {}, "no bucket 'no-such-bucket'"),
        ("s3://{bucket}/elsewhere", {}, "no object at s3://{bucket}/elsewhere/affine/index.json"),
        ("s3://{bucket}", {"S3_ENDPOINT": "http://127.0.0.1:9"}, "cannot reach http://127.0.0.1:9"),
        ("s3://{bucket}", {"S3_ACCESS_KEY": "", "S3_SECRET_KEY": ""}, "S3_ACCESS_KEY, S3_SECRET"),
    ],
)
def test_what_is_wrong_with_the_place_is_told_in_one_line(
    source: str, changes: dict[str, str], message: str, bucket: str, moto: S3Server, tmp_path: Path
) -> None:
    environment = {**moto.environment, "AWS_MAX_ATTEMPTS": "1", **changes}
    done = clutch(
        "datagen", "sft", "--source", source.format(bucket=bucket), "--quiet",
        cwd=tmp_path, **environment,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert message.format(bucket=bucket) in done.stderr
    assert moto.secret_key not in done.stderr
    assert list(tmp_path.iterdir()) == []
