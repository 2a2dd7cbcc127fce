"""What generated SAT problems may be told: family, style, sizes, splits."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from datagen.strict import Strict

THRESHOLD_RATIO = {2: 1.0, 3: 4.267, 4: 9.931, 5: 21.117, 6: 43.37, 7: 87.79}
"""Clauses per variable at which random k-SAT turns unsatisfiable (Mertens, Mezard, Zecchina)."""

MAX_LITERALS = 20_000_000
"""Largest formula: m times k."""


def threshold_ratio(k: int) -> float:
    """Return m/n at the satisfiability threshold of random k-SAT; k in 2..7 as measured.

    Above that 2^k ln 2 - (1 + ln 2)/2, exact up to a term that vanishes with k (Ding, Sly and Sun).
    """
    return THRESHOLD_RATIO.get(k, 2**k * math.log(2) - (1 + math.log(2)) / 2)


class SizeConfig(Strict):
    """One size of problem: n variables, m clauses of k distinct variables each."""

    n: int = Field(ge=2, le=10_000)
    """Number of variables."""
    k: int = Field(3, ge=2, le=32)
    """Literals in a clause."""
    m: int | None = Field(None, ge=1)
    """Number of clauses."""
    ratio: float | None = Field(None, gt=0, le=1e9)
    """Clauses per variable, in place of m; the threshold of k if neither is given."""
    weight: float = Field(1.0, gt=0, le=1e9)
    """How often this size is drawn, relative to the split's other sizes."""

    @model_validator(mode="after")
    def _fits(self) -> "SizeConfig":
        if self.k > self.n:
            raise ValueError(f"k {self.k} is more than n {self.n}: a clause has distinct variables")
        if self.m is not None and self.ratio is not None:
            raise ValueError(f"m {self.m} and ratio {self.ratio} are both given: give one of them")
        if self.num_clauses < 1:
            raise ValueError(f"ratio {self.ratio} of n {self.n} is less than one clause: raise it")
        if self.num_clauses * self.k > MAX_LITERALS:
            raise ValueError(
                f"{self.num_clauses} clauses of {self.k} are over {MAX_LITERALS} literals: lower m"
            )
        return self

    @property
    def num_clauses(self) -> int:
        """Number of clauses: m, or the whole part of ratio times n."""
        if self.m is not None:
            return self.m
        ratio = threshold_ratio(self.k) if self.ratio is None else self.ratio
        return int(ratio * self.n)


class DemonstrationConfig(Strict):
    """Training rows that show the format and how to walk the clauses, without any gold answer."""

    type: Literal["walk"] = "walk"
    per_problem: int = Field(4, ge=1, le=1024)
    """Rows (demonstrations) of each problem."""
    walk_fraction: float = Field(0.8, ge=0, le=1)
    """Share of the problems with walks (a literal of each clause); the others get assignments."""


class SatShareConfig(Strict):
    """What one split's SAT problems may be told."""

    sizes: tuple[SizeConfig, ...] | None = Field(None, min_length=1)
    """Sizes of this split; the dataset's by default."""
    demonstrations: DemonstrationConfig | None = None
    """Make demonstration rows in place of problems with certified answers."""


class SplitConfig(SatShareConfig):
    """One split of a dataset."""

    num_problems: int = Field(ge=1, le=1_000_000_000)
    """Number of problems."""


Splits = dict[
    Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    Annotated[int, Field(ge=1, le=1_000_000_000)] | SplitConfig,
]


class SatProblems(Strict):
    """Generated k-SAT problems with certified answers."""

    family: Literal["uniform", "planted", "q_hidden"] = "q_hidden"
    """Uniform random (solver-certified), planted as upstream does, or planted without a bias."""
    style: Literal["affine", "compact"] = "affine"
    """Upstream's wording, or one token a word for tiny models."""
    sizes: tuple[SizeConfig, ...] = Field(min_length=1)
    """Sizes of the problems, drawn by weight."""
    unsat_fraction: float = Field(0.0, ge=0, le=1)
    """Share of unsatisfiable problems; needs the family uniform."""

    @model_validator(mode="after")
    def _choices_agree(self) -> "SatProblems":
        if self.unsat_fraction and self.family != "uniform":
            raise ValueError(
                f"unsat_fraction {self.unsat_fraction} needs family uniform: "
                f"every {self.family} problem is satisfiable"
            )
        return self

    def check_split(self, name: str, split: "SatShareConfig") -> None:
        """Raise ValueError if a split's settings do not go with these."""
        if split.demonstrations and self.style != "compact":
            raise ValueError(f"splits.{name}.demonstrations need style compact")


class SatConfig(SatProblems):
    """A dataset of generated k-SAT problems with certified answers."""

    type: Literal["sat"] = "sat"
    splits: Splits = Field(min_length=1)
    """Name of each split, and its number of problems or its own settings."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Seed of the problems; the run's seed by default."""
    shard_rows: int = Field(262_144, ge=1)
    """Most rows of one Parquet file."""

    @model_validator(mode="after")
    def _splits_fit(self) -> "SatConfig":
        for name, split in self.split_configs.items():
            self.check_split(name, split)
        return self

    @property
    def split_configs(self) -> dict[str, SplitConfig]:
        """The splits, each with its settings."""
        return {
            name: value
            if isinstance(value, SplitConfig)
            else SplitConfig.model_validate({"num_problems": value})
            for name, value in self.splits.items()
        }
