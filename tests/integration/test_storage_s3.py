"""Folders in buckets of real servers: what is written, read, recognised and presigned.

moto gives checksums and ETags as AWS does and checks no key; rclone checks signatures and expiry,
and tells nothing of a large object but an ETag that is not AWS's: there the bytes are read again.
"""

import hashlib
import os
import time
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.storage.arrow import arrow_place
from orchestrator.storage.digests import digest_file
from orchestrator.storage.errors import StorageChanged, StorageMissing
from orchestrator.storage.presign import _signed, presigned_url
from tests.storage_servers import SMALL, S3Server

pytestmark = pytest.mark.integration
PART = SMALL.part_bytes


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three parts."""
    path = tmp_path_factory.mktemp("files") / "large.parquet"
    path.write_bytes(os.urandom(2 * PART + 1234))
    return path


def test_small_files_are_written_listed_read_and_deleted(server: S3Server) -> None:
    folder = server.folder("data/sets")
    assert list(folder.list()) == []
    assert not folder.exists("a/b.json")
    folder.write_whole("a/b.json", b"{}")
    folder.write_whole("a/b.json.txt", b"")
    folder.write_whole("a/ä b#%.jsonl", b"[]\n")
    assert folder.exists("a/b.json") and not folder.exists("a/b")
    listed = [(e.name, e.num_bytes) for e in folder.list()]
    assert listed == [("a/b.json", 2), ("a/b.json.txt", 0), ("a/ä b#%.jsonl", 3)]
    assert [e.name for e in folder.list("a/b.json.")] == ["a/b.json.txt"]
    for name, data in (("a/b.json", b"{}"), ("a/b.json.txt", b""), ("a/ä b#%.jsonl", b"[]\n")):
        with folder.open_read(name, sha256=hashlib.sha256(data).hexdigest()) as file:
            assert file.read() == data
    head = server.client().head_object(Bucket=folder.bucket.name, Key="data/sets/a/b.json")
    assert head["ContentType"] == "application/json"
    folder.delete("a/b.json")
    folder.delete("a/b.json")
    assert not folder.exists("a/b.json")


def test_a_listing_has_all_its_pages(moto: S3Server) -> None:
    folder = moto.folder()
    client = moto.client()
    for index in range(70):
        client.put_object(Bucket=folder.bucket.name, Key=f"set/{index:05d}", Body=b"")
    client.put_object(Bucket=folder.bucket.name, Key="set/", Body=b"")
    client.put_object(Bucket=folder.bucket.name, Key="settle/x", Body=b"")
    assert [entry.name for entry in folder.list()] == [f"{index:05d}" for index in range(70)]


def test_a_large_file_goes_in_parts_and_is_recognised(server: S3Server, large: Path) -> None:
    folder = server.folder()
    digest = digest_file(large, PART)
    assert digest.num_parts == 3
    counted: list[int] = []
    folder.upload_file("x.parquet", large, digest, lambda _, done, total: counted.append(done))
    assert counted == [PART, 2 * PART, digest.num_bytes]
    assert folder.holds("x.parquet", digest)
    with folder.open_read("x.parquet", sha256=digest.sha256) as file:
        assert file.read() == large.read_bytes()
    client = server.client()
    head = client.head_object(Bucket=folder.bucket.name, Key="set/x.parquet")
    assert head["ContentType"] == "application/vnd.apache.parquet"
    assert not client.list_multipart_uploads(Bucket=folder.bucket.name).get("Uploads")


def test_other_bytes_of_the_same_size_are_not_taken_for_the_same(
    server: S3Server, large: Path, tmp_path: Path
) -> None:
    folder = server.folder()
    for name, source in (("small", large.read_bytes()[:100]), ("large", large.read_bytes())):
        path = tmp_path / name
        path.write_bytes(source)
        other = tmp_path / f"{name}-other"
        other.write_bytes(source[:-1] + bytes([source[-1] ^ 1]))
        folder.upload_file(name, path, digest_file(path, PART))
        assert folder.holds(name, digest_file(path, PART))
        assert not folder.holds(name, digest_file(other, PART))
    assert not folder.holds("none", digest_file(large, PART))


def test_an_object_that_others_put_in_another_way_is_recognised(
    server: S3Server, large: Path
) -> None:
    folder = server.folder()
    server.client().upload_file(str(large), folder.bucket.name, "set/x")
    assert folder.holds("x", digest_file(large, PART))


def test_a_checksum_that_a_server_only_repeats_is_not_believed(moto: S3Server) -> None:
    """moto keeps the checksum it is told; its ETag is computed, and tells otherwise."""
    folder = moto.folder()
    path = Path(__file__)
    digest = digest_file(path, PART)
    moto.client().put_object(
        Bucket=folder.bucket.name,
        Key="set/x",
        Body=b" " * digest.num_bytes,
        ChecksumAlgorithm="SHA256",
        ChecksumSHA256=digest.s3_sha256,
    )
    assert not folder.holds("x", digest)


def test_reading_takes_little_memory_and_stops_early(server: S3Server, large: Path) -> None:
    folder = server.folder()
    folder.upload_file("x", large, digest_file(large, PART))
    with folder.open_read("x") as file:
        assert file.read(10) == large.read_bytes()[:10]


def test_what_is_not_there_is_told(server: S3Server) -> None:
    folder = server.folder()
    with pytest.raises(StorageMissing, match=rf"no object at {folder.uri}/x \(http://127"):
        folder.open_read("x")
    with pytest.raises(StorageMissing, match=r"no bucket 'no-such' at http://127.*: create it"):
        server.reach("no-such").exists("x")
    with pytest.raises(StorageMissing, match="no bucket 'no-such'"):
        server.reach("no-such").write_whole("x", b"")


def test_damaged_bytes_are_told_by_their_hash(server: S3Server) -> None:
    folder = server.folder()
    folder.write_whole("x", b"abc")
    with (
        folder.open_read("x", sha256="0" * 64) as file,
        pytest.raises(StorageChanged, match=rf"{folder.uri}/x has sha256 .* expected 0000"),
    ):
        file.read()


def test_a_url_reads_one_object_without_keys(server: S3Server) -> None:
    folder = server.folder()
    folder.write_whole("a b.json", b'{"x": 1}')
    url = presigned_url(folder, "a b.json", 168)
    assert "X-Amz" not in repr(url) + str(url)
    answer = httpx2.get(url.get_secret_value(), trust_env=False)
    assert answer.json() == {"x": 1}
    assert answer.headers["Content-Type"] == "application/json"
    assert "X-Amz-Expires=604800" in url.get_secret_value()


def test_a_url_ends(rclone: S3Server) -> None:
    folder = rclone.folder()
    folder.write_whole("x", b"1")
    lasting, url = (_signed(folder, "x", s).get_secret_value() for s in (1000, 1))
    assert httpx2.get(lasting, trust_env=False).status_code == 200
    deadline = time.monotonic() + 10
    while (answer := httpx2.get(url, trust_env=False)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.status_code == 400 and "AccessDenied" in answer.text
    forged = url.replace("X-Amz-Expires=1", "X-Amz-Expires=1000")
    assert httpx2.get(forged, trust_env=False).status_code == 403


def test_arrow_reaches_the_same_places(moto: S3Server, tmp_path: Path) -> None:
    """Not rclone's: it sends a whole object's checksum with a range, which arrow refuses."""
    folder = moto.folder()
    table = pa.table({"x": [1, 2, 3]})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    folder.upload_file("t.parquet", path, digest_file(path, PART))
    for place in (folder.uri_of("t.parquet"), str(path)):
        system, where = arrow_place(place, moto.settings)
        assert pq.read_table(where, filesystem=system) == table
