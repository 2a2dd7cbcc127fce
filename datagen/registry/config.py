"""What a dataset of the registry is built of, beside its sources."""

from typing import Literal

from pydantic import Field, model_validator

from datagen.registry.keys import dataset_key
from datagen.strict import Strict


class BuildConfig(Strict):
    """One version of a dataset: what it is called, and which rows it takes."""

    name: str
    """Name of the dataset, of at most 128 characters."""
    version: str
    """Its version, of at most 64 characters."""
    filters: dict[str, str] = Field(default_factory=dict)
    """Values that rows must have, by column or by `difficulty.*` or `meta.*` key."""
    strategy: Literal["latest", "random"] = "latest"
    """Which rows to take where `limit` leaves some out."""
    seed: int | None = Field(None, ge=0)
    """Seed of strategy `random`, which needs one."""
    limit: int | None = Field(None, ge=1)
    """Most rows; all by default."""
    session_id: str | None = Field(None, min_length=1, max_length=128)
    """Session that the rows were made in, for the manifest."""
    parent_dataset_id: str | None = Field(None, min_length=1, max_length=256)
    """Dataset that this one comes from; a version that is the only source, by default."""
    training_run_id: str | None = Field(None, min_length=1, max_length=128)
    """Training run that the dataset was made by or for, for the manifest."""
    provenance: dict[str, str] = Field(default_factory=dict)
    """Anything else to say of where the rows come from, for the manifest."""

    @property
    def key(self) -> str:
        """What the version is found by."""
        return dataset_key(self.name, self.version)

    @model_validator(mode="after")
    def _acts(self) -> "BuildConfig":
        """Refuse names that make no key, and settings that would do nothing."""
        dataset_key(self.name, self.version)
        if self.strategy == "latest" and self.seed is not None:
            raise ValueError("seed does nothing with strategy latest: use strategy random")
        if self.strategy == "random" and self.seed is None:
            raise ValueError("seed is missing: strategy random needs one")
        if self.strategy == "random" and self.limit is None:
            raise ValueError("limit is missing: strategy random without one takes all rows")
        return self
