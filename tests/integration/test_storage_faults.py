"""What networks and servers do to transfers: one clear line each, and nothing half-written seen."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.storage.digests import digest_file
from orchestrator.storage.errors import (
    StorageChanged,
    StorageDenied,
    StorageError,
    StorageMissing,
    StorageRefused,
)
from orchestrator.storage.s3 import S3Folder
from tests.fault_proxy import BROKEN, SLOW_DOWN, cutting, faults, times
from tests.storage_servers import SMALL, Guarded, S3Server, free_port

pytestmark = pytest.mark.integration
PART = SMALL.part_bytes


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two parts."""
    path = tmp_path_factory.mktemp("files") / "large.bin"
    path.write_bytes(os.urandom(PART + 4321))
    return path


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    return request.getfixturevalue(request.param)


@pytest.fixture
def direct(server: S3Server) -> S3Folder:
    """A folder as it is, past any proxy."""
    return server.folder()


def upload(folder: S3Folder, path: Path, name: str = "x") -> None:
    folder.upload_file(name, path, digest_file(path, PART))


def holds_nothing(server: S3Server, folder: S3Folder) -> bool:
    """Whether nothing is seen of an upload, nor left of it unseen."""
    client = server.client()
    try:
        left = client.list_multipart_uploads(Bucket=folder.bucket.name).get("Uploads")
    except client.exceptions.NoSuchUpload:  # what rclone says where there never was one
        left = None
    return not list(folder.list()) and not left


def is_a_part(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber" in path


def completes(method: str, path: str) -> bool:
    return method == "POST" and "uploadId=" in path


def puts(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber" not in path


def one_line(error: BaseException) -> str:
    line = str(error)
    assert line and "\n" not in line
    assert error.__context__ is None or error.__suppress_context__
    return line


# Keys, buckets, permissions


def test_a_wrong_key_is_named(rclone: S3Server) -> None:
    bucket = rclone.folder().bucket.name
    wrong = S3Server(rclone.url, "AKIAWRONGWRONGWRONG1", rclone.secret_key)
    with pytest.raises(StorageDenied) as told:
        wrong.reach(bucket).exists("x")
    line = one_line(told.value)
    assert "does not know the key in S3_ACCESS_KEY: correct it (InvalidAccessKeyId)" in line
    assert wrong.access_key not in line


def test_a_wrong_secret_is_named(rclone: S3Server) -> None:
    bucket = rclone.folder().bucket.name
    wrong = S3Server(rclone.url, rclone.access_key, "wrong-wrong-wrong-wrong")
    with pytest.raises(StorageDenied) as told:
        wrong.reach(bucket).write_whole("x", b"1")
    line = one_line(told.value)
    assert "S3_SECRET_KEY does not fit S3_ACCESS_KEY: correct it (SignatureDoesNotMatch)" in line
    assert list(rclone.reach(bucket).list()) == []


def test_what_a_key_may_not_do_is_named(guarded: Guarded, large: Path, tmp_path: Path) -> None:
    owner = guarded.owner.reach(guarded.bucket)
    reader = guarded.reader.reach(guarded.bucket)
    upload(owner, large, "old")
    with reader.open_read("old", sha256=digest_file(large, PART).sha256) as file:
        assert len(file.read()) == PART + 4321
    small = tmp_path / "small"
    small.write_bytes(b"1")
    for path in (small, large):
        with pytest.raises(StorageDenied) as told:
            upload(reader, path)
        line = one_line(told.value)
        assert f"{guarded.bucket}/set/x: grant it s3:PutObject, or use another key" in line
        assert "the key in S3_ACCESS_KEY may not do" in line
    with pytest.raises(StorageDenied, match=r"may not do ListObjectsV2 .* grant it s3:ListBucket"):
        guarded.nobody.reach(guarded.bucket).exists("old")
    with pytest.raises(StorageDenied, match="s3:GetObject"):
        guarded.nobody.reach(guarded.bucket).open_read("old")
    with pytest.raises(StorageDenied, match="s3:DeleteObject"):
        reader.delete("old")
    wrong = S3Server(guarded.owner.url, guarded.owner.access_key, "wrong-wrong-wrong")
    with pytest.raises(StorageDenied, match="SignatureDoesNotMatch"):
        wrong.reach(guarded.bucket).exists("old")
    assert [entry.name for entry in owner.list()] == ["old"]


# Endpoints that cannot be reached


def test_an_endpoint_that_is_down_is_told(large: Path) -> None:
    down = S3Server(f"http://127.0.0.1:{free_port()}").reach("bucket")
    for act in (lambda: down.exists("x"), lambda: down.open_read("x"), lambda: upload(down, large)):
        with pytest.raises(StorageError) as told:
            act()
        assert f"cannot reach {down.bucket.settings.endpoint} for s3://bucket" in str(told.value)
        assert "check S3_ENDPOINT and the network" in one_line(told.value)


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_endpoint_that_is_silent_is_given_up(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.storage_servers.SMALL", type(SMALL)(read_timeout_s=0.2))
    folder = S3Server(silent).reach("bucket")
    with pytest.raises(StorageError, match="does not answer: check S3_ENDPOINT"):
        folder.exists("x")


# Connections that are cut


def test_a_part_that_is_cut_once_is_sent_again(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    with cutting(server.url, 1_000_000, times=1) as proxy:
        upload(server.reach(direct.bucket.name, url=proxy.url), large)
        assert proxy.num_cut == 1
    assert direct.holds("x", digest_file(large, PART))


def test_parts_that_are_always_cut_leave_nothing(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    with cutting(server.url, 1_000_000) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageError, match=r"was cut in UploadPart of s3://.*/set/x") as told:
            upload(folder, large)
        assert "the same command goes on" in one_line(told.value)
    assert holds_nothing(server, direct)


def test_a_small_file_that_is_always_cut_leaves_nothing(
    server: S3Server, direct: S3Folder, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(os.urandom(300_000))
    with cutting(server.url, 100_000) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageError, match="was cut in PutObject"):
            upload(folder, path)
    assert holds_nothing(server, direct)


def test_reading_goes_on_where_it_was_cut(server: S3Server, direct: S3Folder, large: Path) -> None:
    upload(direct, large)
    with cutting(server.url, 2_000_000, times=2, downward=True) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with folder.open_read("x", sha256=digest_file(large, PART).sha256) as file:
            assert file.read() == large.read_bytes()
        assert proxy.num_cut == 2


def test_reading_that_is_always_cut_is_given_up(server: S3Server, direct: S3Folder) -> None:
    direct.write_whole("x", os.urandom(200_000))
    with cutting(server.url, 100, downward=True) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageError, match="was cut"), folder.open_read("x") as file:
            file.read()


def test_a_completion_whose_answer_is_lost_has_happened(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    with faults(server.url, times(1, "drop", completes)) as proxy:
        upload(server.reach(direct.bucket.name, url=proxy.url), large)
    assert direct.holds("x", digest_file(large, PART))
    assert [entry.name for entry in direct.list()] == ["x"]


# Servers that are ill or busy


@pytest.mark.parametrize("reply", [BROKEN, SLOW_DOWN], ids=["500", "SlowDown"])
def test_a_server_that_recovers_is_asked_again(
    server: S3Server, direct: S3Folder, large: Path, reply: tuple[int, bytes]
) -> None:
    with faults(server.url, times(1, reply, is_a_part)) as proxy:
        upload(server.reach(direct.bucket.name, url=proxy.url), large)
        parts = [request for request in proxy.requests if is_a_part(*request)]
        assert len(parts) == 3
    assert direct.holds("x", digest_file(large, PART))


@pytest.mark.parametrize("where", [is_a_part, completes], ids=["part", "completion"])
@pytest.mark.parametrize(
    ("reply", "code"), [(BROKEN, "500 InternalError"), (SLOW_DOWN, "503 SlowDown")]
)
def test_a_server_that_does_not_recover_leaves_nothing(
    moto: S3Server, large: Path, reply: tuple[int, bytes], code: str, where: object
) -> None:
    direct = moto.folder()
    with faults(moto.url, times(10**6, reply, where)) as proxy:  # type: ignore[arg-type]
        folder = moto.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageError, match=rf"answered {code} to \w+ of s3://.*/set/x") as told:
            upload(folder, large)
        assert "2 times: try later, the same command goes on" in one_line(told.value)
    assert holds_nothing(moto, direct)


def test_a_failed_upload_leaves_the_old_object(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    direct.write_whole("x", b"old")
    with (
        faults(server.url, times(10**6, BROKEN, completes)) as proxy,
        pytest.raises(StorageError, match="500 InternalError"),
    ):
        upload(server.reach(direct.bucket.name, url=proxy.url), large)
    with direct.open_read("x") as file:
        assert file.read() == b"old"


# Endpoints that do not know all of S3


@pytest.mark.parametrize("unknown", ["x-amz-checksum-sha256", "x-amz-checksum", "x-amz-sdk"])
def test_an_endpoint_without_sha256_checksums_gets_the_md5_alone(
    server: S3Server, direct: S3Folder, large: Path, tmp_path: Path, unknown: str
) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"123")
    with faults(server.url, unknown=(unknown,)) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        upload(folder, large)
        upload(folder, small, "small")
        folder.write_whole("whole", b"4")
        # Several parts are sent at a time; after that nothing more is refused.
        assert proxy.num_refused <= (0 if unknown == "x-amz-sdk" else SMALL.num_threads)
    assert direct.holds("x", digest_file(large, PART))
    assert direct.holds("small", digest_file(small, PART))
    assert sorted(entry.name for entry in direct.list()) == ["small", "whole", "x"]
    assert not server.client().list_multipart_uploads(Bucket=direct.bucket.name).get("Uploads")


def test_what_an_endpoint_refuses_is_told(moto: S3Server, large: Path) -> None:
    with faults(moto.url, unknown=("content-md5",)) as proxy:
        folder = moto.reach(moto.folder().bucket.name, url=proxy.url)
        with pytest.raises(StorageRefused, match=r"refused UploadPart of .*: 400 Inv") as told:
            upload(folder, large)
    assert "(Unsupported header 'content-md5' received for this API call.)" in one_line(told.value)


# Bytes that change under us


def test_an_object_that_is_replaced_before_it_is_confirmed_is_told(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    def replace(method: str, path: str) -> None:
        if completes(method, path):
            direct.write_whole("x", b"\0" * (PART + 4321))

    with faults(server.url, lambda *_: None, after=replace) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with pytest.raises(StorageChanged, match="does not hold what was uploaded") as told:
            upload(folder, large)
        assert "nothing was deleted here" in one_line(told.value)


def test_an_object_that_is_removed_before_it_is_confirmed_is_told(
    server: S3Server, direct: S3Folder, tmp_path: Path
) -> None:
    def remove(method: str, path: str) -> None:
        if puts(method, path):
            direct.delete("x")

    path = tmp_path / "x"
    path.write_bytes(b"123")
    with (
        faults(server.url, lambda *_: None, after=remove) as proxy,
        pytest.raises(StorageChanged, match="does not hold what was uploaded"),
    ):
        upload(server.reach(direct.bucket.name, url=proxy.url), path)


def test_an_object_that_is_replaced_while_it_is_read_is_told(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    upload(direct, large)
    with cutting(server.url, 2_000_000, times=1, downward=True, hold=True) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with folder.open_read("x") as file:
            file.read(100)
            direct.write_whole("x", os.urandom(PART + 4321))
            proxy.go_on.set()
            with pytest.raises(StorageChanged, match="has changed while it was read: start again"):
                file.read()


def test_an_object_that_is_removed_while_it_is_read_is_told(
    server: S3Server, direct: S3Folder, large: Path
) -> None:
    upload(direct, large)
    with cutting(server.url, 2_000_000, times=1, downward=True, hold=True) as proxy:
        folder = server.reach(direct.bucket.name, url=proxy.url)
        with folder.open_read("x") as file:
            direct.delete("x")
            proxy.go_on.set()
            with pytest.raises(StorageMissing, match="no object at"):
                file.read()


def test_a_local_file_that_changes_while_it_is_sent_leaves_nothing(
    server: S3Server, direct: S3Folder, large: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(large.read_bytes())
    digest = digest_file(path, PART)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0\0")
    with pytest.raises(StorageChanged, match="x changed while it was uploaded: start again"):
        direct.upload_file("x", path, digest)
    assert holds_nothing(server, direct)
