"""Tasks on data in a bucket: checked there, presigned, and found again under a new signature."""

import json
from pathlib import Path

import httpx2
import pytest

from datagen.formats.export import export_rows
from orchestrator.cli import run_command
from tests.export_rows import mixed_rows
from tests.gradients_server import KEY, gradients_server
from tests.storage_servers import S3Server

pytestmark = pytest.mark.integration
GRPO = ["gradients", "submit", "grpo", "--model", "a/b", "--hours", "1", "--reward"]


def test_an_object_is_checked_and_presigned(
    moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    export_rows("gradients", mixed_rows(2000), tmp_path / "a.json")
    body = (tmp_path / "a.json").read_bytes()
    moto.client().create_bucket(Bucket="tasks")
    moto.client().put_object(Bucket="tasks", Key="x/a.json", Body=body)
    moto.client().put_object(Bucket="tasks", Key="x/few.json", Body=b"[]")
    for name, value in {**moto.environment, "GRADIENTS_API_KEY": KEY, "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    with gradients_server() as server:
        server.functions.append({"reward_id": "1" * 32, "name": "f", "code": ""})
        options = ["f", "--base-url", server.url, "--json", "--data"]
        assert run_command([*GRPO, *options, "s3://tasks/x/a.json"]) == 0
        assert run_command([*GRPO, *options, "s3://tasks/x/a.json", "--presign-hours", "5"]) == 0
        assert run_command([*GRPO, *options, "s3://tasks/x/few.json"]) == 2
        assert run_command([*GRPO, *options, "s3://tasks/x/none.json"]) == 2
        out, err = capfd.readouterr()
        first, second = map(json.loads, out.splitlines())
        assert first["created"] and not second["created"]
        assert first["task_id"] == second["task_id"]
        assert "s3://tasks/x/few.json has 0 rows" in err and "s3://tasks/x/none.json" in err
        (sent,) = server.sent("POST", "/v1/tasks/create_grpo")
    assert httpx2.get(sent["ds_repo"], trust_env=False).content == body
    assert "Signature" in sent["ds_repo"] and "Signature" not in out + err and KEY not in out + err
