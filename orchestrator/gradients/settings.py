"""Where the API lies, how long it is waited for, and which key it gets."""

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from datagen.strict import Strict
from orchestrator.api_key import ApiKey, read_api_key

KEY, BASE_URL = "GRADIENTS_API_KEY", "GRADIENTS_BASE_URL"
DEFAULT_URL = "https://api.gradients.io"


class ApiSettings(Strict):
    """How to reach the Gradients API."""

    base_url: str = DEFAULT_URL
    """Where the API lies; `/v1/...` is added to it."""
    timeout_s: float = Field(60.0, gt=0, le=600)
    """Seconds after which a request is given up."""
    max_retries: int = Field(5, ge=0, le=20)
    """Repetitions of a request that met a busy or failing service."""
    retry_wait_s: float = Field(1.0, gt=0, le=60)
    """Seconds before the first repetition; doubled each time, up to 60, or as the service says."""
    settle_s: float = Field(20.0, ge=0, le=600)
    """Seconds in which what a create of unknown outcome made is looked for."""

    @field_validator("base_url")
    @classmethod
    def _is_safe_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.query or parts.fragment or any(c.isspace() for c in url):
            raise ValueError(f"base_url is no address such as {DEFAULT_URL}")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"base_url holds a user or password: the key goes in {KEY}")
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("base_url is not https: the key would be readable on the way")
        return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_key(environment: Mapping[str, str] | None = None) -> ApiKey:
    """Return the key, which nothing shows from now on; ValueError says what to set."""
    key = read_api_key(KEY, os.environ if environment is None else environment)
    if key is None:
        raise ValueError(f"no key for Gradients: set {KEY} in the environment")
    return key
