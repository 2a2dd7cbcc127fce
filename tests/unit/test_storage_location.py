"""Which places are understood, and what is said of those that are not."""

from pathlib import Path

import pytest

from orchestrator.storage.location import S3Location, check_name, parse_location
from orchestrator.storage.opening import open_beside, open_folder


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket-1/a/b c/#%20?.json", "my.bucket-1", "a/b c/#%20?.json"),
        ("s3://bucket/a/b/", "bucket", "a/b"),
    ],
)
def test_a_uri_is_taken_as_it_is_written(text: str, bucket: str, key: str) -> None:
    assert parse_location(text) == S3Location(bucket, key)
    assert str(S3Location(bucket, key)) == text.rstrip("/")


@pytest.mark.parametrize("text", ["runs/a", "/data/x", "./s3", "a:b"])
def test_anything_else_is_a_path(text: str) -> None:
    assert parse_location(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3://", "names no bucket: write s3://BUCKET/KEY"),
        ("s3:///key", "names no bucket"),
        ("s3:/bucket/key", "not a place that is known"),
        ("S3://bucket/key", "not a place that is known"),
        ("gs://bucket/key", "not a place that is known: give a path, or s3://BUCKET/KEY"),
        ("https://host/key", "not a place that is known"),
        ("s3://b/key", "'b' is no bucket's name"),
        ("s3://buck et/key", "no bucket's name"),
        ("s3://bucket/a//b", "no empty"),
        ("s3://bucket/../x", "no empty, '.' or '..' steps"),
        ("s3://bucket/a\nb", "printable"),
        ("s3://bucket/" + "ä" * 600, "at most 1024 bytes"),
        (" ", "the location is empty"),
    ],
)
def test_a_place_that_cannot_be_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_location(text)


@pytest.mark.parametrize("name", ["", "/a", "a/", "../a", "a/./b", "a\0b"])
def test_a_name_cannot_leave_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a name"):
        check_name(name)
    with pytest.raises(ValueError, match="a name"):
        open_folder(tmp_path).write_whole(name, b"")


def test_a_file_is_named_by_its_uri(tmp_path: Path) -> None:
    folder, name = open_beside(f"{tmp_path}/x/a.json")
    assert (folder.uri, name) == (f"{tmp_path}/x", "a.json")
    for uri in ("s3://bucket", "s3://", "s3:///x", f"{tmp_path}/"):
        with pytest.raises(ValueError, match=r"names no (file|bucket)"):
            open_beside(uri)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_location("~/a/b") == tmp_path / "a" / "b"
    assert parse_location("~") == tmp_path
    assert parse_location("./~/a") == Path("~/a")
    assert str(open_folder("~/x").uri) == f"{tmp_path}/x"
