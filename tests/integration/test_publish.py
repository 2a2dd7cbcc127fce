"""Publishing: once, confirmed, manifest last, and the local copy is removed only then."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from datagen.config import SatConfig
from datagen.dataset import build_dataset
from datagen.manifest import verify_dataset
from orchestrator.cli import run_command
from orchestrator.storage.errors import StorageChanged, StorageError
from orchestrator.storage.local import LocalFolder
from orchestrator.storage.publish import publish_file, publish_folder
from orchestrator.storage.s3 import S3Folder
from tests.command import clutch, succeeded, user_environment
from tests.fault_proxy import BROKEN, cutting, faults, times
from tests.storage_servers import Guarded, S3Server, free_port

pytestmark = pytest.mark.integration
SHARDS = ["test-00000.parquet", "train-00000.parquet", "train-00001.parquet"]


def make_dataset(folder: Path, seed: int = 0) -> Path:
    sizes = [{"n": 5, "m": 12}]
    splits = {"train": 60, "test": 20}
    config = SatConfig.model_validate({"sizes": sizes, "splits": splits, "shard_rows": 40})
    build_dataset(config, folder, seed)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("datasets") / "sat")


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "sat"))


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    return request.getfixturevalue(request.param)


def names(folder: S3Folder | LocalFolder) -> list[str]:
    return [entry.name for entry in folder.list()]


def download(folder: S3Folder | LocalFolder, path: Path) -> Path:
    path.mkdir()
    for entry in folder.list():
        with folder.open_read(entry.name) as file:
            (path / entry.name).write_bytes(file.read())
    return path


def test_a_dataset_is_uploaded_once_and_whole(
    server: S3Server, dataset: Path, tmp_path: Path
) -> None:
    direct = server.folder("sets/sat")
    with faults(server.url, lambda *_: None) as proxy:
        target = server.reach(direct.bucket.name, "sets/sat", url=proxy.url)
        first = publish_folder(dataset, target)
        puts = [path.rsplit("/")[-1] for method, path in proxy.requests if method == "PUT"]
        assert sorted(puts[:-1]) == SHARDS and puts[-1] == "manifest.json"
        proxy.requests.clear()
        second = publish_folder(dataset, target)
        assert {method for method, _ in proxy.requests} <= {"GET", "HEAD"}
    assert (first.num_uploaded, second.num_uploaded) == (4, 0)
    assert first.uri == f"s3://{direct.bucket.name}/sets/sat"
    assert names(direct) == sorted([*SHARDS, "manifest.json"])
    assert verify_dataset(download(direct, tmp_path / "again")).dataset_hash == first.dataset_hash


def test_a_local_folder_is_a_target_too(dataset: Path, tmp_path: Path) -> None:
    target = LocalFolder(tmp_path / "there" / "sat")
    assert publish_folder(dataset, target).num_uploaded == 4
    assert publish_folder(dataset, target, delete_local=True).num_uploaded == 0
    assert not dataset.exists()
    verify_dataset(target.path)
    with pytest.raises(ValueError, match=r"no place in a bucket \(s3://"):
        publish_folder(target.path, LocalFolder(tmp_path / "x"), presign_hours=1)
    for inside in (target.path, target.path / "deeper"):
        with pytest.raises(ValueError, match="itself: choose another place"):
            publish_folder(target.path, LocalFolder(inside), delete_local=True)


def test_what_was_made_again_is_the_same_dataset(
    moto: S3Server, dataset: Path, tmp_path: Path
) -> None:
    target = moto.folder()
    publish_folder(dataset, target)
    again = make_dataset(tmp_path / "again")
    assert publish_folder(again, target, delete_local=True).num_uploaded == 0
    assert not again.exists()


def test_another_dataset_is_not_overwritten(moto: S3Server, dataset: Path, tmp_path: Path) -> None:
    target = moto.folder()
    publish_folder(dataset, target)
    other = make_dataset(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match=r"already holds another dataset \([0-9a-f]{64}\)"):
        publish_folder(other, target, delete_local=True)
    assert other.exists()
    target.write_whole("manifest.json", b"[1]")
    with pytest.raises(ValueError, match="already holds another dataset"):
        publish_folder(dataset, target)


def test_a_cut_upload_is_no_dataset_and_the_next_call_ends_it(
    server: S3Server, dataset: Path, tmp_path: Path
) -> None:
    direct = server.folder()

    def is_last_shard(method: str, path: str) -> bool:
        return method == "PUT" and SHARDS[0] in path

    with faults(server.url, times(10**6, BROKEN, is_last_shard)) as proxy:
        target = server.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageError, match="500 InternalError"):
            publish_folder(dataset, target, delete_local=True)
    assert names(direct) == SHARDS[1:]
    verify_dataset(dataset)
    with cutting(server.url, 1_000, times=1) as proxy:
        target = server.reach(direct.bucket.name, url=proxy.url)
        assert publish_folder(dataset, target, delete_local=True).num_uploaded == 2
    assert not dataset.exists() and list(tmp_path.iterdir()) == []
    verify_dataset(download(direct, tmp_path / "again"))


def test_a_shard_that_is_lost_there_is_sent_again(moto: S3Server, dataset: Path) -> None:
    target = moto.folder()
    publish_folder(dataset, target)
    target.delete(SHARDS[1])
    target.write_whole(SHARDS[2], b"\0" * (dataset / SHARDS[2]).stat().st_size)
    done = publish_folder(dataset, target)
    assert [file.name for file in done.files if file.uploaded] == SHARDS[1:]


def test_nothing_is_deleted_here_unless_all_is_confirmed(server: S3Server, dataset: Path) -> None:
    direct = server.folder()

    def damage(method: str, path: str) -> None:
        if method == "PUT" and SHARDS[1] in path:
            size = (dataset / SHARDS[1]).stat().st_size
            direct.write_whole(SHARDS[1], b"\0" * size)

    with faults(server.url, lambda *_: None, after=damage) as proxy:
        target = server.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageChanged, match="does not hold what was uploaded"):
            publish_folder(dataset, target, delete_local=True)
    assert "manifest.json" not in names(direct)
    verify_dataset(dataset)


def test_files_that_are_no_part_of_it_are_not_deleted(moto: S3Server, dataset: Path) -> None:
    target = moto.folder()
    (dataset / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"notes.txt, which is no part of the dataset and would"):
        publish_folder(dataset, target, delete_local=True)
    assert names(target) == []
    publish_folder(dataset, target)
    assert "notes.txt" not in names(target)


def test_a_damaged_dataset_is_not_published(moto: S3Server, dataset: Path) -> None:
    target = moto.folder()
    with (dataset / SHARDS[0]).open("r+b") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match=r"test-00000.parquet has sha256 .* the manifest says"):
        publish_folder(dataset, target)
    (dataset / SHARDS[0]).unlink()
    with pytest.raises(ValueError, match=r"test-00000.parquet is missing: the manifest names it"):
        publish_folder(dataset, target)
    assert "manifest.json" not in names(target)
    (dataset / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        publish_folder(dataset, target)


def test_a_dry_run_changes_nothing(moto: S3Server, dataset: Path) -> None:
    target = moto.folder()
    publish_file(dataset / SHARDS[0], target, SHARDS[0])
    done = publish_folder(dataset, target, presign_hours=1, delete_local=True, dry_run=True)
    assert done.num_uploaded == 3 and done.urls == {}
    assert names(target) == SHARDS[:1]
    verify_dataset(dataset)


def test_a_file_is_published_once_and_not_overwritten(moto: S3Server, tmp_path: Path) -> None:
    target = moto.folder("out")
    path = tmp_path / "a.json"
    path.write_text("[1]")
    done = publish_file(path, target, "a.json", presign_hours=2)
    assert done.num_uploaded == 1
    assert httpx2.get(done.urls["a.json"].get_secret_value(), trust_env=False).json() == [1]
    assert publish_file(path, target, "a.json").num_uploaded == 0
    path.write_text("[2]")
    with pytest.raises(ValueError, match=r"out/a.json holds other bytes: choose another name"):
        publish_file(path, target, "a.json", delete_local=True)
    path.write_text("[1]")
    publish_file(path, target, "a.json", delete_local=True)
    assert not path.exists()


# The command


def test_the_command_publishes_by_the_environment_and_dotenv(
    rclone: S3Server, dataset: Path, tmp_path: Path
) -> None:
    bucket = rclone.folder().bucket.name
    here = tmp_path / "work"
    here.mkdir()
    lines = [f"{name}={value}" for name, value in rclone.environment.items()]
    (here / ".env").write_text("\n".join([*lines, f"S3_BUCKET_NAME={bucket}"]))
    done = clutch("publish", dataset, "--presign-hours", "1", cwd=here)
    lines = succeeded(done).splitlines()
    assert lines[0].startswith(f"s3://{bucket}/datasets/sat: 4 files, ")
    assert "4 uploaded, 0 there already; sha256 " in lines[0]
    urls = dict(line.split(" ") for line in lines[2:])
    assert sorted(urls) == sorted([*SHARDS, "manifest.json"])
    for name, url in urls.items():
        answer = httpx2.get(url, trust_env=False)
        assert answer.content == (dataset / name).read_bytes()
    assert "X-Amz" not in done.stderr
    assert rclone.secret_key not in done.stdout + done.stderr
    again = succeeded(clutch("publish", dataset, "--delete-local", "--json", cwd=here))
    assert not any(file["uploaded"] for file in json.loads(again)["files"])
    assert not dataset.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["int", "kill"])
def test_an_interrupted_upload_shows_nothing_and_the_next_call_ends_it(
    how: signal.Signals, moto: S3Server, tmp_path: Path
) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(17 * 2**20))
    folder, client = moto.folder("files"), moto.client()
    reached, go_on = threading.Event(), threading.Event()

    def hold(method: str, where: str) -> None:
        if "partNumber=1" in where:
            reached.set()
            go_on.wait(30)

    with faults(moto.url, hold) as proxy:
        environment = {**moto.environment, "S3_ENDPOINT": proxy.url}
        command = [sys.executable, "-m", "orchestrator", "publish", path, folder.uri + "/"]
        with subprocess.Popen(
            command, env=user_environment(**environment), stderr=subprocess.PIPE
        ) as process:
            assert reached.wait(60)
            process.send_signal(how)
            time.sleep(0.2)
            go_on.set()
            process.communicate(timeout=60)
    assert process.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL)
    assert names(folder) == []
    left = client.list_multipart_uploads(Bucket=folder.bucket.name).get("Uploads", [])
    assert len(left) == (0 if how is signal.SIGINT else 1)  # nobody was left to abort it
    succeeded(clutch("publish", path, folder.uri + "/", "--delete-local", **moto.environment))
    assert names(folder) == ["large.bin"] and not path.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["s3://b-1/x", "--presign-hours", "169"], "169: use 1 to 168; S3's signature (SigV4)"),
        (["s3://b-1/x", "--presign-hours", "0"], "presign hours 0: use 1 to 168"),
        (["s3:///x"], "s3:///x names no bucket: write s3://BUCKET/KEY"),
        (["gs://b/x"], "not a place that is known"),
        ([], "S3 needs S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET_NAME: set them in the environment"),
        (["s3://b-1/x"], "S3 needs S3_ACCESS_KEY, S3_SECRET_KEY: set them in the environment"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
    arguments: list[str],
    why: str,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("S3_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    assert run_command(["publish", str(made), *arguments]) == 2
    told = capsys.readouterr()
    assert why in told.err and len(told.err.splitlines()) == 1
    assert told.out == ""


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
@pytest.mark.parametrize("fault", ["key", "secret", "bucket", "permission", "down", "ill", "cut"])
def test_no_fault_shows_a_secret(
    fault: str,
    debug: bool,
    rclone: S3Server,
    guarded: Guarded,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each ends with one line, or with a traceback of ours; boto's debug log is on in the second.

    A presigned URL is made first, so that its signature stands in the log as well.
    """
    bucket = rclone.folder().bucket.name
    server = rclone
    code, line = 2, ""
    with (
        faults(rclone.url, times(10**6, BROKEN, lambda *_: True)) as ill,
        cutting(rclone.url, 10) as cut,
        caplog.at_level(logging.DEBUG if debug else logging.WARNING),
    ):
        if fault == "key":
            server = S3Server(rclone.url, "AKIAWRONGWRONGWRONG1", rclone.secret_key)
            line = "does not know the key in S3_ACCESS_KEY"
        elif fault == "secret":
            server = S3Server(rclone.url, rclone.access_key, "wrong/secret+wrong/secret")
            line = "S3_SECRET_KEY does not fit S3_ACCESS_KEY"
        elif fault == "bucket":
            bucket, line = "no-such-bucket", "no bucket 'no-such-bucket'"
        elif fault == "permission":
            server, bucket = guarded.reader, guarded.bucket
            line = "grant it s3:PutObject"
        elif fault == "down":
            server = S3Server(f"http://127.0.0.1:{free_port()}")
            code, line = 1, "cannot reach http://127.0.0.1"
        elif fault == "ill":
            server, code, line = S3Server(ill.url), 1, "answered 500 InternalError"
        else:
            server, code, line = S3Server(cut.url), 1, "was cut in"
        for name, value in {**server.environment, "AWS_SESSION_TOKEN": "unused-token"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        target = f"s3://{bucket}/{fault}-{debug}"
        more = ["--debug"] if debug else []
        assert run_command(["publish", str(made), target, "--presign-hours", "1", *more]) == code
    told = capfd.readouterr()
    lines = told.err.splitlines()
    assert line in told.err and ("Traceback" in told.err) == debug
    assert debug or len([text for text in lines if not text.startswith("task=")]) == 1
    assert told.out == ""
    assert not debug or "botocore" in {record.name.split(".")[0] for record in caplog.records}
    everything = told.err + caplog.text + repr([record.__dict__ for record in caplog.records])
    for secret in (server.secret_key, server.access_key):
        assert secret not in everything


def test_the_log_of_a_success_holds_no_url_and_no_secret(
    rclone: S3Server,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bucket = rclone.folder().bucket.name
    for name, value in rclone.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.DEBUG):
        assert run_command(["publish", str(made), f"s3://{bucket}/x", "--presign-hours", "1"]) == 0
    told = capfd.readouterr()
    assert told.out.count("X-Amz-Signature=") == 4
    signatures = [line.rpartition("Signature=")[2] for line in told.out.splitlines()[2:]]
    assert "Calculating signature" in caplog.text
    for secret in (*signatures, rclone.secret_key, rclone.access_key):
        assert secret not in told.err + caplog.text
    manifest = (made / "manifest.json").read_text()
    assert rclone.access_key not in manifest and "X-Amz" not in manifest
