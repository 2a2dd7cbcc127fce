"""What a dataset may be told: generated problems, files of others, or a folder that exists.

Every field is typed, bounded and documented once, in the string under it.
"""

from typing import Annotated, Literal

from pydantic import Field

from datagen.abd_config import AbdConfig
from datagen.mix_config import MixConfig
from datagen.sat_config import (
    DemonstrationConfig,
    SatConfig,
    SizeConfig,
    SplitConfig,
    threshold_ratio,
)
from datagen.strict import Strict, UserPath

__all__ = [
    "AbdConfig",
    "DatasetConfig",
    "DemonstrationConfig",
    "DimacsConfig",
    "MixConfig",
    "PathConfig",
    "SatConfig",
    "SizeConfig",
    "SplitConfig",
    "Strict",
    "threshold_ratio",
]


class PathConfig(Strict):
    """A dataset that exists: a folder with a manifest.json."""

    type: Literal["path"]
    path: UserPath
    """The folder."""


class DimacsConfig(Strict):
    """Problems of DIMACS files, certified by a solver."""

    type: Literal["dimacs"]
    path: UserPath
    """A .cnf file, or a folder or archive (.tar, .zip) of them, also as .gz, .xz, .bz2 or .lzma."""
    style: Literal["affine", "compact"] = "affine"
    """Upstream's wording, or one token a word for tiny models."""
    split: str = Field("test", pattern=r"^[a-z][a-z0-9_]{0,63}$")
    """Split that the problems go to."""
    shard_rows: int = Field(262_144, ge=1)
    """Most rows of one Parquet file."""


DatasetConfig = Annotated[
    SatConfig | AbdConfig | MixConfig | PathConfig | DimacsConfig, Field(discriminator="type")
]
