"""Real S3 servers on loopback, each a process of its own, and folders in their buckets.

moto checks no key unless it is told to, and no expiry; rclone checks signatures and expiry.
"""

import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx2
import pytest
from pydantic import SecretStr

from orchestrator.storage.bucket import Bucket, Limits
from orchestrator.storage.s3 import S3Folder
from orchestrator.storage.settings import S3Settings

BIN = Path(sys.executable).parent
ACCESS_KEY, SECRET_KEY = "AKIATESTSTESTSTEST01", "tests/own+secret/Key0123456789abcdefghij"
SMALL = Limits(part_bytes=5 * 2**20, num_threads=3, connect_timeout_s=5, read_timeout_s=10)


@dataclass(frozen=True)
class S3Server:
    """A running server, with keys that it takes."""

    url: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    @property
    def settings(self) -> S3Settings:
        """Settings that reach it, with two attempts."""
        return S3Settings(
            endpoint=self.url,
            access_key=SecretStr(self.access_key),
            secret_key=SecretStr(self.secret_key),
            max_attempts=2,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The same as a user sets it."""
        return {
            "S3_ENDPOINT": self.url,
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
            "AWS_MAX_ATTEMPTS": "2",
        }

    def client(self, service: str = "s3") -> Any:
        """A client of boto's own, by which tests look at what is there."""
        return _client(self, service)

    def folder(self, prefix: str = "set", *, url: str | None = None) -> S3Folder:
        """A folder in a bucket of its own, reached directly or through a proxy at `url`."""
        name = f"b-{uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return self.reach(name, prefix, url=url)

    def reach(self, bucket: str, prefix: str = "set", *, url: str | None = None) -> S3Folder:
        """A folder of a bucket, whether it exists or not."""
        settings = replace(self.settings, endpoint=url or self.url)
        return S3Folder(Bucket(bucket, settings, SMALL), prefix)


@functools.cache
def _client(server: S3Server, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _served(command: list[str], port: int, **environment: str) -> Iterator[str]:
    """Start a server, yield its URL once it answers, and stop it."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _await(url, process)
            yield url
        finally:
            process.terminate()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, f"no server at {url}"
        try:
            httpx2.get(url, trust_env=False)
            return
        except httpx2.TransportError:
            time.sleep(0.05)


def _moto(port: int) -> list[str]:
    return [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """moto, which takes any key; its listings come in pages of 50."""
    port = free_port()
    for url in _served(_moto(port), port, MOTO_S3_DEFAULT_MAX_KEYS="50"):
        yield S3Server(url)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """`rclone serve s3`, which checks every signature."""
    root, port = tmp_path_factory.mktemp("rclone"), free_port()
    command = [str(BIN / "rclone"), "serve", "s3", str(root), "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull]
    for url in _served(command, port):
        yield S3Server(url)


@dataclass(frozen=True)
class Guarded:
    """A moto that checks keys and permissions: an owner, and two who may do less."""

    owner: S3Server
    reader: S3Server
    nobody: S3Server
    bucket: str = "guarded"


@pytest.fixture(scope="session")
def guarded() -> Iterator[Guarded]:
    """moto with IAM: the reader may list and get, nobody may do nothing."""
    port = free_port()
    for url in _served(_moto(port), port):
        open_server = S3Server(url)
        open_server.client().create_bucket(Bucket="guarded")
        iam = open_server.client("iam")
        owner = _user(iam, url, "owner", ["s3:*"])
        reader = _user(iam, url, "reader", ["s3:ListBucket", "s3:GetObject"])
        nobody = _user(iam, url, "nobody", ["ec2:DescribeInstances"])
        httpx2.post(f"{url}/moto-api/reset-auth", content=b"0", trust_env=False)
        yield Guarded(owner, reader, nobody)


def _user(iam: Any, url: str, name: str, actions: list[str]) -> S3Server:
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return S3Server(url, key["AccessKeyId"], key["SecretAccessKey"])
