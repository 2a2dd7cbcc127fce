"""A local folder keeps the promises of a bucket: whole files, checked bytes, nothing half-seen."""

import hashlib
from pathlib import Path

import pytest

from orchestrator.storage.digests import digest_file
from orchestrator.storage.errors import StorageChanged
from orchestrator.storage.local import LocalFolder


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "there")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    return path


def files(folder: LocalFolder) -> list[str]:
    return sorted(p.name for p in folder.path.rglob("*") if p.is_file())


def test_files_are_written_listed_read_and_deleted(folder: LocalFolder) -> None:
    assert list(folder.list()) == []
    assert not folder.exists("a/b.json")
    folder.write_whole("a/b.json", b"{}")
    folder.write_whole("a/b.json", b"[1]")
    folder.write_whole("z.txt", b"")
    assert [(e.name, e.num_bytes) for e in folder.list()] == [("a/b.json", 3), ("z.txt", 0)]
    assert [e.name for e in folder.list("a/")] == ["a/b.json"]
    assert (folder.path / "z.txt").stat().st_mode & 0o444 == 0o444
    with folder.open_read("a/b.json", sha256=hashlib.sha256(b"[1]").hexdigest()) as file:
        assert file.read() == b"[1]"
    folder.delete("a/b.json")
    folder.delete("a/b.json")
    assert files(folder) == ["z.txt"]


def test_a_copy_is_counted_and_recognised(folder: LocalFolder, source: Path) -> None:
    digest = digest_file(source, 2**18)
    counted: list[tuple[str, int, int]] = []
    assert not folder.holds("x.bin", digest)
    folder.upload_file("x.bin", source, digest, lambda *count: counted.append(count))
    assert folder.holds("x.bin", digest)
    assert counted[-1] == ("x.bin", 1_280_000, 1_280_000)
    (folder.path / "x.bin").write_bytes(b"\1" * 1_280_000)
    assert not folder.holds("x.bin", digest)


def test_what_is_being_written_is_not_listed(folder: LocalFolder) -> None:
    folder.write_whole("set/x", b"1")
    left = folder.path / "set" / ".x.partial-elsewhere-1"
    left.write_bytes(b"half")
    (folder.path / ".set.partial-elsewhere-1").mkdir()
    (folder.path / ".set.partial-elsewhere-1" / "x").write_bytes(b"half")
    assert [entry.name for entry in folder.list()] == ["set/x"]


def test_a_source_that_changes_leaves_what_was_there(folder: LocalFolder, source: Path) -> None:
    folder.write_whole("x.bin", b"old")
    digest = digest_file(source, 2**18)
    source.write_bytes(b"\1" * 1_280_000)
    with pytest.raises(StorageChanged, match=r"source.bin changed while it was copied"):
        folder.upload_file("x.bin", source, digest)
    assert files(folder) == ["x.bin"]
    assert (folder.path / "x.bin").read_bytes() == b"old"


def test_changed_bytes_are_told_at_the_end_of_reading(folder: LocalFolder) -> None:
    folder.write_whole("x", b"abc" * 1000)
    with (
        folder.open_read("x", sha256="0" * 64) as file,
        pytest.raises(StorageChanged, match="expected 000"),
    ):
        file.read()


def test_a_missing_file_is_told(folder: LocalFolder) -> None:
    with pytest.raises(FileNotFoundError):
        folder.open_read("nope")


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 25])
def test_a_digest_has_a_hash_for_each_part(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    data = bytes(range(size))
    path.write_bytes(data)
    digest = digest_file(path, 10)
    parts = [data[i : i + 10] for i in range(0, size, 10)] or [b""]
    assert digest.sha256 == hashlib.sha256(data).hexdigest()
    assert digest.part_sha256s == tuple(hashlib.sha256(part).digest() for part in parts)
    if size <= 10:
        assert digest.s3_etag == hashlib.md5(data).hexdigest()
    else:
        joined = b"".join(hashlib.md5(part).digest() for part in parts)
        assert digest.s3_etag == f"{hashlib.md5(joined).hexdigest()}-{len(parts)}"


def test_no_file_has_more_parts_than_s3_takes(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10_001)
    assert digest_file(path, 1).part_bytes == 2**20
