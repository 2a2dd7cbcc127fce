"""Finds the key of a service in the environment, and keeps it out of what is shown."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from orchestrator.storage.redaction import hide, redact_logs, without

CHUTES, OPENAI = "CHUTES_API_KEY", "OPENAI_API_KEY"
OWNERS = {"chutes.ai": (CHUTES,), "openai.com": (OPENAI,)}
"""Services whose own key alone is sent to them; others get either, OpenAI's before Chutes'."""
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and the environment variable that holds it."""

    variable: str
    value: str = field(repr=False)

    def hidden_in(self, text: str) -> str:
        """Return a text without the key."""
        return without([self.value], text)


def find_api_key(base_url: str, environment: Mapping[str, str] | None = None) -> ApiKey:
    """Return the key for the service at `base_url`; ValueError names the variable to set.

    Chutes is only sent CHUTES_API_KEY and OpenAI only OPENAI_API_KEY; any other service gets
    OPENAI_API_KEY, or CHUTES_API_KEY where only that is set.
    """
    env = os.environ if environment is None else environment
    host = urlsplit(base_url).hostname or ""
    variables = next((v for owner, v in OWNERS.items() if _belongs(host, owner)), (OPENAI, CHUTES))
    for variable in variables:
        if (key := read_api_key(variable, env)) is not None:
            return key
    raise ValueError(
        f"no key for the language model at {base_url}: set {' or '.join(variables)} in the "
        "environment, or make the dataset without proposed inputs"
    )


def read_api_key(variable: str, environment: Mapping[str, str]) -> ApiKey | None:
    """Return the key in a variable, None if it is not set; ValueError for what no header holds."""
    value = environment.get(variable, "").strip()
    if not value:
        return None
    if not _KEY.fullmatch(value):
        raise ValueError(f"{variable} is no key: it holds blanks or unprintable characters")
    hide([value])
    redact_logs()
    return ApiKey(variable, value)


def _belongs(host: str, owner: str) -> bool:
    return host == owner or host.endswith(f".{owner}")
