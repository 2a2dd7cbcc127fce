"""Where the keys come from, which name wins, and what is told when some are missing."""

import logging
import pickle
from pathlib import Path

import pytest

from orchestrator.storage.settings import read_settings

OURS = {"S3_ACCESS_KEY": "our-access", "S3_SECRET_KEY": "our-secret"}
AWS = {"AWS_ACCESS_KEY_ID": "aws-access", "AWS_SECRET_ACCESS_KEY": "aws-secret"}
HERE = {"S3_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def keys(environment: dict[str, str], dotenv: Path) -> tuple[str, str]:
    settings = read_settings(environment, dotenv)
    assert settings.access_key is not None and settings.secret_key is not None
    return settings.access_key.get_secret_value(), settings.secret_key.get_secret_value()


def test_our_names_win_over_awss_wherever_they_stand(dotenv: Path) -> None:
    assert keys({**OURS, **AWS}, dotenv) == ("our-access", "our-secret")
    assert keys(AWS, dotenv) == ("aws-access", "aws-secret")
    dotenv.write_text("S3_ACCESS_KEY=file-access\nS3_SECRET_KEY=file-secret\n")
    assert keys(AWS, dotenv) == ("file-access", "file-secret")


def test_the_environment_wins_over_the_file_for_one_name(dotenv: Path) -> None:
    dotenv.write_text(
        "S3_ACCESS_KEY=file-access\nS3_SECRET_KEY='a$b${HOME}#c'\nS3_ENDPOINT=http://h:1/\n"
        "S3_REGION=auto\nS3_BUCKET_NAME=mine\n"
    )
    assert keys({"S3_ACCESS_KEY": "our-access"}, dotenv) == ("our-access", "a$b${HOME}#c")
    settings = read_settings({"S3_REGION": " "}, dotenv)
    assert (settings.endpoint, settings.region, settings.bucket) == ("http://h:1", "auto", "mine")


def test_awss_names_are_read_too(dotenv: Path) -> None:
    more = {
        "AWS_SESSION_TOKEN": "aws-token",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://general:1",
        "AWS_ENDPOINT_URL_S3": "https://own:2",
        "AWS_MAX_ATTEMPTS": "7",
    }
    settings = read_settings({**AWS, **more}, dotenv)
    assert settings.session_token is not None
    assert settings.session_token.get_secret_value() == "aws-token"
    assert (settings.region, settings.endpoint) == ("eu-west-1", "https://own:2")
    assert settings.max_attempts == 7
    assert read_settings({**AWS, **more, **OURS}, dotenv).session_token is None


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "S3 needs S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET_NAME: set them in"),
        ({"S3_ACCESS_KEY": "a"}, "S3 needs S3_SECRET_KEY, S3_BUCKET_NAME: set them in"),
        ({"S3_SECRET_KEY": "b", **AWS}, "S3 needs S3_ACCESS_KEY, S3_BUCKET_NAME: set them in"),
        ({"AWS_ACCESS_KEY_ID": "a"}, "S3 needs AWS_SECRET_ACCESS_KEY, S3_BUCKET_NAME: set them"),
        (OURS, "S3 needs S3_BUCKET_NAME: set it in the environment or in"),
    ],
)
def test_all_missing_names_are_told_at_once(
    given: dict[str, str], missing: str, dotenv: Path
) -> None:
    lines = [f"{name}={value}" for name, value in given.items()]
    dotenv.write_text("\n".join([*lines, "S3_SECRET_KEY=" if "S3_SECRET_KEY" not in given else ""]))
    with pytest.raises(ValueError, match=missing) as told:
        read_settings(HERE, dotenv, needs_bucket=True)
    assert str(dotenv) in str(told.value)


def test_a_profile_of_awss_is_used_for_aws_only(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ["[work]", "aws_access_key_id = p-access", "aws_secret_access_key = p-secret"]
    (tmp_path / "credentials").write_text("\n".join(lines))
    settings = read_settings({"AWS_PROFILE": "work"}, dotenv)
    assert (settings.profile, settings.access_key) == ("work", None)
    with pytest.raises(ValueError, match="S3 needs S3_ACCESS_KEY, S3_SECRET_KEY"):
        read_settings({"AWS_PROFILE": "work", **HERE}, dotenv)
    with pytest.raises(ValueError, match=r"AWS_PROFILE play: .*could not be found"):
        read_settings({"AWS_PROFILE": "play"}, dotenv)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("S3_ENDPOINT", "host:9000", "S3_ENDPOINT is no URL"),
        ("S3_ENDPOINT", "ftp://host", "S3_ENDPOINT is no URL"),
        ("S3_ENDPOINT", "http://h:x", "S3_ENDPOINT is no URL"),
        ("S3_ENDPOINT", "https://me:hunter22@host", "S3_ENDPOINT holds more than a host"),
        ("AWS_ENDPOINT_URL", "nonsense", "AWS_ENDPOINT_URL is no URL"),
        ("S3_SECRET_KEY", "hunter22 hunter22", "S3_SECRET_KEY holds blanks"),
        ("S3_ACCESS_KEY", "hunter22\nhunter22", "S3_ACCESS_KEY holds blanks"),
        ("AWS_MAX_ATTEMPTS", "many", "AWS_MAX_ATTEMPTS is many: use a whole number"),
        ("AWS_MAX_ATTEMPTS", "0", "from 1 to 20"),
    ],
)
def test_a_value_that_cannot_be_is_named_and_no_secret_shown(
    name: str, value: str, why: str, dotenv: Path
) -> None:
    with pytest.raises(ValueError, match=why) as told:
        read_settings({**OURS, name: value}, dotenv)
    assert "hunter22" not in str(told.value)


def test_the_settings_travel_and_show_no_secret(
    dotenv: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = read_settings({**OURS, **HERE}, dotenv)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%r %s", settings, settings)
    shown = repr(settings) + str(settings) + caplog.text
    assert "our-secret" not in shown and "our-access" not in shown
    assert pickle.loads(pickle.dumps(settings)) == settings
