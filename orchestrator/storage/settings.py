"""The endpoint and the keys of S3, from the environment and a `.env` file.

    S3_ENDPOINT        or AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; AWS itself by default
    S3_ACCESS_KEY      or AWS_ACCESS_KEY_ID
    S3_SECRET_KEY      or AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN)
    S3_REGION          or AWS_REGION, AWS_DEFAULT_REGION; us-east-1 by default
    S3_BUCKET_NAME     where `clutch publish` goes without a URI

A name in the environment wins over the same name in `.env`; our names win over AWS's, wherever they
stand. The two keys are taken from one pair of names, never one of each. `.env` is read, not
loaded: no child process sees it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError
from dotenv import dotenv_values
from pydantic import SecretStr

OUR_KEYS = ("S3_ACCESS_KEY", "S3_SECRET_KEY")
AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ENDPOINTS = ("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGIONS = ("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
DEFAULT_REGION = "us-east-1"
DEFAULT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach S3; its repr shows no secret."""

    endpoint: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    session_token: SecretStr | None = None
    region: str = DEFAULT_REGION
    bucket: str | None = None
    profile: str | None = None
    """A profile of AWS's own files, where no keys are given."""
    max_attempts: int = DEFAULT_ATTEMPTS
    """Times that one request is sent at most (AWS_MAX_ATTEMPTS)."""
    key_names: tuple[str, str] = OUR_KEYS
    """The variables that the keys came from, for messages."""

    @property
    def shown_endpoint(self) -> str:
        """The endpoint as messages name it."""
        return self.endpoint or f"AWS S3 ({self.region})"


def read_settings(
    environment: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    *,
    needs_bucket: bool = False,
) -> S3Settings:
    """Read the settings; `dotenv` is `.env` in the working directory by default.

    Raises ValueError that names all missing variables at once, or one with a value that cannot be.
    """
    dotenv = Path(".env") if dotenv is None else dotenv
    given = _given(os.environ if environment is None else environment, dotenv)
    endpoint = _first(given, ENDPOINTS)
    names, missing = _key_names(given, endpoint)
    if needs_bucket and "S3_BUCKET_NAME" not in given:
        missing = (*missing, "S3_BUCKET_NAME")
    if missing:
        raise ValueError(
            f"S3 needs {', '.join(missing)}: set {'it' if len(missing) == 1 else 'them'} in the "
            f"environment or in {dotenv}"
        )
    for name in (*(names or ()), "AWS_SESSION_TOKEN"):
        if not given.get(name, "x").isprintable() or " " in given.get(name, ""):
            raise ValueError(f"{name} holds blanks or unprintable characters: copy it again")
    access, secret = (SecretStr(given[name]) for name in names) if names else (None, None)
    token = given.get("AWS_SESSION_TOKEN") if names == AWS_KEYS else None
    return S3Settings(
        endpoint=_checked_endpoint(given) if endpoint else None,
        access_key=access,
        secret_key=secret,
        session_token=SecretStr(token) if token else None,
        region=_first(given, REGIONS) or DEFAULT_REGION,
        bucket=given.get("S3_BUCKET_NAME"),
        profile=None if names else given.get("AWS_PROFILE"),
        max_attempts=_attempts(given),
        key_names=names or ("AWS's own credentials", "AWS's own credentials"),
    )


def _given(environment: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """Return what is set to something; interpolation is off, as a secret may hold a dollar."""
    from_file = dotenv_values(dotenv, interpolate=False) if dotenv.is_file() else {}
    both = {**from_file, **{key: value for key, value in environment.items() if value.strip()}}
    return {key: value.strip() for key, value in both.items() if value and value.strip()}


def _first(given: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((given[name] for name in names if name in given), None)


def _key_names(
    given: Mapping[str, str], endpoint: str | None
) -> tuple[tuple[str, str] | None, tuple[str, ...]]:
    """Return the pair of names that holds the keys (None: AWS's own chain), and what is missing.

    AWS's chain (profile, role of the machine) is asked only where AWS itself is the endpoint: its
    keys are nobody else's business.
    """
    for names in (OUR_KEYS, AWS_KEYS):
        if any(name in given for name in names):
            return names, tuple(name for name in names if name not in given)
    if endpoint is None and _chain_has_keys(given.get("AWS_PROFILE")):
        return None, ()
    return None, OUR_KEYS


def _chain_has_keys(profile: str | None) -> bool:
    try:
        return boto3.Session(profile_name=profile).get_credentials() is not None
    except BotoCoreError as error:
        raise ValueError(f"AWS_PROFILE {profile}: {error}") from None


def _checked_endpoint(given: Mapping[str, str]) -> str:
    name = next(name for name in ENDPOINTS if name in given)
    value = given[name]
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"{name} is no URL: write it as https://HOST or http://HOST:PORT")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{name} holds more than a host and a path: the keys have their own names")
    return value.rstrip("/")


def _attempts(given: Mapping[str, str]) -> int:
    text = given.get("AWS_MAX_ATTEMPTS", str(DEFAULT_ATTEMPTS))
    if not text.isdecimal() or not 1 <= int(text) <= 20:
        raise ValueError(f"AWS_MAX_ATTEMPTS is {text}: use a whole number from 1 to 20")
    return int(text)
