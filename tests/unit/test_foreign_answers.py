"""Whatever answers in place of a service ends in one line of ours, after few requests."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from datagen.proposal_config import ProposalsConfig
from orchestrator.api_key import ApiKey
from orchestrator.chat import ChatClient
from orchestrator.exchange import CallFailed
from orchestrator.gradients.api import Api
from orchestrator.gradients.checks import check_file
from orchestrator.gradients.data import find_data
from orchestrator.gradients.models import RewardFunctions
from orchestrator.gradients.settings import ApiSettings
from orchestrator.storage import bucket as buckets
from orchestrator.storage.bucket import Bucket, Limits
from orchestrator.storage.digests import digest_bytes
from orchestrator.storage.errors import StorageError
from orchestrator.storage.s3 import S3Folder
from orchestrator.storage.settings import S3Settings
from orchestrator.tracking_store import open_store
from tests.foreign_server import KINDS, ForeignServer, foreign_server

KEY = ApiKey("OPENAI_API_KEY", "sk-test-0123456789")


@pytest.fixture(scope="module")
def server() -> Iterator[ForeignServer]:
    with foreign_server() as running:
        yield running


def told(act: Callable[[], object], *kinds: type[Exception]) -> str:
    with pytest.raises(kinds) as raised:
        act()
    line = str(raised.value)
    assert line and "\n" not in line and len(line) < 600
    return line


def folder(url: str, name: str, read_timeout_s: float = 5.0) -> S3Folder:
    settings = S3Settings(
        endpoint=url,
        access_key=SecretStr("AKIATEST0123456"),
        secret_key=SecretStr("secret-0123456"),
        max_attempts=2,
    )
    return S3Folder(Bucket(name, settings, Limits(read_timeout_s=read_timeout_s)), "set")


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_that_is_not_s3_is_told(
    kind: str, server: ForeignServer, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    place = folder(server.url, kind)
    before = server.num_requests
    acts: tuple[Callable[[], object], ...] = (
        lambda: list(place.list()),
        lambda: place.exists("x"),
        lambda: place.open_read("x").read(),
        lambda: place.write_whole("x", b"1"),
        lambda: place.upload_file("x", path, digest_bytes(b"1")),
    )
    for act in acts:
        assert server.url in told(act, StorageError)
    assert server.num_requests - before <= 2 * 2 * len(acts)


def test_an_endpoint_that_never_answers_is_given_up_after_one_wait(server: ForeignServer) -> None:
    buckets._reached.discard(server.url)
    before = server.num_requests
    place = folder(server.url, "silent", read_timeout_s=0.2)
    assert "does not answer: check S3_ENDPOINT" in told(lambda: place.exists("x"), StorageError)
    assert server.num_requests == before + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_is_no_chat_is_told(kind: str, server: ForeignServer) -> None:
    config = ProposalsConfig(base_url=f"{server.url}/{kind}", model="m", timeout_s=5)

    async def ask() -> str:
        async with ChatClient(config, KEY) as client:
            return await client.complete("x")

    told(lambda: asyncio.run(ask()), CallFailed, ValueError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_platform_that_is_not_gradients_is_told(kind: str, server: ForeignServer) -> None:
    settings = ApiSettings(base_url=f"{server.url}/{kind}", timeout_s=5, max_retries=0, settle_s=0)
    api = Api(settings, KEY)

    def read(body: bytes) -> Any:
        return api.read(RewardFunctions, body)

    told(lambda: api.get(RewardFunctions, "/x"), OSError, ValueError)
    if kind == "page":
        assert "a web page" in told(lambda: api.delete("/x"), OSError)
    told(lambda: api.create("/x", {}, read, lambda: None), OSError, ValueError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_url_that_holds_no_data_is_told(kind: str, server: ForeignServer) -> None:
    def check(stream: Any, name: str) -> Any:
        return check_file(stream, name, ("prompt",))

    url = f"{server.url}/{kind}/data.json"
    told(lambda: find_data(url, check, 1, only_look=True), ValueError)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "json"])
def test_a_store_that_is_not_mlflows_is_told(
    kind: str, server: ForeignServer, tmp_path: Path
) -> None:
    uri = f"{server.url}/{kind}"
    assert uri in told(lambda: open_store(uri, tmp_path), ValueError)
