"""What a dataset of SAT and ABD problems together may be told."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from datagen.abd_config import AbdConfig, AbdProblems, AbdShareConfig, AbdSplitConfig
from datagen.sat_config import SatConfig, SatProblems, SatShareConfig, SplitConfig
from datagen.strict import Strict


class MixSplitConfig(Strict):
    """One split of a dataset of both tasks."""

    num_problems: int = Field(ge=1, le=1_000_000_000)
    """Number of problems of both tasks together."""
    sat_ratio: float | None = Field(None, ge=0, le=1)
    """Share of SAT problems in this split; the dataset's by default."""
    sat: SatShareConfig = SatShareConfig()
    """What this split's SAT problems are told beside the dataset's."""
    abd: AbdShareConfig = AbdShareConfig()
    """What this split's ABD problems are told beside the dataset's."""


MixSplits = dict[
    Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    Annotated[int, Field(ge=1, le=1_000_000_000)] | MixSplitConfig,
]


class MixConfig(Strict):
    """A dataset of generated SAT and ABD problems, shuffled together by key."""

    type: Literal["mix"]
    sat: SatProblems
    """The SAT problems."""
    abd: AbdProblems
    """The ABD problems."""
    sat_ratio: float = Field(0.5, ge=0, le=1)
    """Share of SAT problems; the nearest whole number of each split."""
    splits: MixSplits = Field(min_length=1)
    """Name of each split, and its number of problems or its own settings."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Seed of the problems; the run's seed by default."""
    shard_rows: int = Field(262_144, ge=1)
    """Most rows of one Parquet file."""

    @model_validator(mode="after")
    def _splits_fit(self) -> "MixConfig":
        for name, split in self.split_configs.items():
            self.sat.check_split(f"{name}.sat", split.sat)
            given = split.abd.model_dump(exclude_none=True)
            self.abd.check_split(f"{name}.abd", AbdSplitConfig(num_problems=1, **given))
        return self

    @property
    def split_configs(self) -> dict[str, MixSplitConfig]:
        """The splits, each with its settings."""
        return {
            name: value
            if isinstance(value, MixSplitConfig)
            else MixSplitConfig.model_validate({"num_problems": value})
            for name, value in self.splits.items()
        }

    def num_sat(self, split: MixSplitConfig) -> int:
        """Return how many of a split's problems are SAT."""
        ratio = self.sat_ratio if split.sat_ratio is None else split.sat_ratio
        return round(ratio * split.num_problems)

    def sat_config(self) -> SatConfig | None:
        """Return the SAT problems as a dataset of their own; None if no split has any."""
        splits = {
            name: SplitConfig(num_problems=self.num_sat(split), **dict(split.sat))
            for name, split in self.split_configs.items()
            if self.num_sat(split)
        }
        own = dict(self.sat) | {"seed": self.seed, "shard_rows": self.shard_rows}
        return SatConfig(splits=splits, **own) if splits else None

    def abd_config(self) -> AbdConfig | None:
        """Return the ABD problems as a dataset of their own; None if no split has any."""
        splits = {
            name: AbdSplitConfig(num_problems=count, **dict(split.abd))
            for name, split in self.split_configs.items()
            if (count := split.num_problems - self.num_sat(split))
        }
        own = dict(self.abd) | {"seed": self.seed, "shard_rows": self.shard_rows}
        return AbdConfig(splits=splits, **own) if splits else None
