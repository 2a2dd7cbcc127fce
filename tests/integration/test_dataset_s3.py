"""`clutch dataset build` out of a bucket of a real server, and what can be wrong there."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from datagen.manifest import Manifest, record_hash
from datagen.registry.versions import Registry
from tests.command import clutch, succeeded
from tests.registry_sources import built, sat_dataset, traces_file
from tests.storage_servers import S3Server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, traces, and versions of both."""
    folder = tmp_path_factory.mktemp("here")
    sat_dataset(folder / "sat")
    traces_file(folder / "sums.jsonl")
    registry = Registry(folder / "datasets")
    built(registry, "sat", folder / "sat")
    built(registry, "sums", folder / "sums.jsonl")
    return folder


@pytest.fixture(scope="module")
def bucket(here: Path, moto: S3Server) -> str:
    name, client = f"sources-{uuid4().hex[:8]}", moto.client()
    client.create_bucket(Bucket=name)
    for path in here.rglob("*"):
        if path.is_file():
            key = path.relative_to(here).as_posix()
            client.put_object(Bucket=name, Key=key, Body=path.read_bytes())
    manifest = (here / "sat/manifest.json").read_bytes()
    for key, data in {
        "short/manifest.json": manifest,
        "changed/manifest.json": manifest,
        "changed/train-00000.parquet": b"other bytes",
        "broken/manifest.json": manifest[:99],
        "up/manifest.json": _pointing_up(manifest),
        "bad.jsonl": b"{}\n",
    }.items():
        client.put_object(Bucket=name, Key=key, Body=data)
    client.close()
    return name


def _pointing_up(manifest: bytes) -> bytes:
    """A manifest whose author hashed it rightly and means a file outside its folder."""
    fields = json.loads(manifest.replace(b'"train-00000', b'"../train-00000'))
    hashed = Manifest.model_validate({**fields, "manifest_hash": None})
    return json.dumps({**fields, "manifest_hash": record_hash(hashed)}).encode()


@pytest.mark.parametrize("source", ["sat", "sums.jsonl", "datasets/sat-1", "datasets/sums-1"])
def test_a_bucket_gives_the_rows_that_its_copy_here_gives(
    source: str, here: Path, bucket: str, moto: S3Server, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/{source}"
    told = succeeded(
        clutch(
            "dataset", "build", "there", "--version", "1", "--from", uri,
            cwd=tmp_path, TMPDIR=str(tmp_path), **moto.environment,
        )
    )  # fmt: skip
    made = Registry(tmp_path / "datasets").load("there-1")
    local = built(Registry(tmp_path / "local"), "there", here / source).manifest
    assert made.content_hash == local.content_hash
    assert made.content_hash in told
    if not source.startswith("datasets"):
        assert made.sources[0].uri == uri
    assert [path.name for path in tmp_path.glob("clutch-source-*")] == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "no object at {uri}/manifest.json"),
        ("short", "no object at {uri}/train-00000.parquet"),
        ("changed", "{uri}/train-00000.parquet has sha256"),
        ("broken", "{uri}/manifest.json is not a dataset manifest"),
        ("up", "a name has no empty, '.' or '..' steps"),
        ("bad.jsonl", "{uri}:1 is not a trace"),
    ],
)
def test_what_is_wrong_with_a_source_is_told_by_its_uri(
    source: str, message: str, bucket: str, moto: S3Server, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/{source}"
    done = clutch(
        "dataset", "build", "there", "--version", "1", "--from", uri,
        cwd=tmp_path, TMPDIR=str(tmp_path), **moto.environment,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if not line.startswith("task=")]
    assert done.returncode in (1, 2)
    assert len(lines) == 1, done.stderr
    assert message.format(uri=uri) in lines[0]
    assert moto.secret_key not in done.stderr
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
