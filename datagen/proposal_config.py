"""What a dataset is told of a language model that proposes inputs for its programs."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from datagen.strict import Strict


class ProposalsConfig(Strict):
    """New inputs for the programs, proposed by a language model behind an OpenAI-compatible API.

    The key comes from the environment: CHUTES_API_KEY or OPENAI_API_KEY.
    """

    base_url: str = "https://llm.chutes.ai/v1"
    """Where the API lies; `/chat/completions` is added to it."""
    model: str = Field(min_length=1)
    """Name of the model there."""
    temperature: float | None = Field(0.8, ge=0, le=2)
    """Sampling temperature; null leaves it to the service."""
    max_tokens: int = Field(2048, ge=1, le=1_000_000)
    """Longest reply in tokens, with the model's thinking."""
    attempts: int = Field(3, ge=1, le=100)
    """Replies that are asked for in search of one good input."""
    max_calls: int = Field(1000, ge=1, le=100_000_000)
    """Most requests that making the dataset may send, repetitions included."""
    concurrency: int = Field(8, ge=1, le=128)
    """Most requests at a time."""
    timeout_s: float = Field(60.0, gt=0, le=3600)
    """Seconds after which a request is given up."""
    max_retries: int = Field(5, ge=0, le=20)
    """Repetitions of a request that met a busy or failing service."""
    retry_wait_s: float = Field(0.5, gt=0, le=60)
    """Seconds before the first repetition; doubled each time, up to 60, or as the service says."""
    max_input_bytes: int = Field(4096, ge=1, le=1_048_576)
    """Longest input that is taken."""

    @property
    def identity(self) -> dict[str, Any]:
        """What the replies, and so the rows of a dataset, depend on."""
        return self.model_dump(
            include={"model", "temperature", "max_tokens", "attempts", "max_input_bytes"}
        )

    @field_validator("base_url")
    @classmethod
    def _is_plain_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole:
            raise ValueError("base_url is no http or https address, such as https://HOST/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("base_url holds a user or password: the key goes in the environment")
        if parts.query or parts.fragment or any(c.isspace() for c in url):
            raise ValueError("base_url holds a query, a fragment or blanks: end it with the path")
        return url.rstrip("/")
