"""What ABD problems may be told: where their programs come from, their style, and limits."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from datagen.programs.knobs import DEFAULTS, MICRO_LIMIT, Knobs, Level
from datagen.proposal_config import ProposalsConfig
from datagen.strict import Strict, UserPath
from reward_fns.sandbox import Limits

MAX_MICRO_INPUTS = 3


class LevelConfig(Strict):
    """A level of generated programs; knobs that are not given are the level's own."""

    level: Level
    """From micro (two to five lines on a few small numbers) to hard (recursion, nested loops)."""
    weight: float = Field(1.0, gt=0, le=1e9)
    """How often this level is drawn, relative to the others."""
    lines: int | None = Field(None, ge=2, le=200)
    """About so many lines (micro 5, easy 6, medium 13, hard 24)."""
    depth: int | None = Field(None, ge=1, le=6)
    """Blocks inside each other, at most (1, 2, 3); of micro programs: operations (2)."""
    inputs: int | None = Field(None, ge=1, le=8)
    """Inputs that are read, at most (1, 2, 3); of micro programs: numbers on one line (2)."""
    min_value: int | None = Field(None, ge=-1_000_000, le=1_000_000)
    """Least number in an input (micro 0, easy 1, medium 1, hard -100)."""
    max_value: int | None = Field(None, ge=-1_000_000, le=1_000_000)
    """Greatest number in an input (20, 30, 100, 1000)."""

    @model_validator(mode="after")
    def _fits(self) -> "LevelConfig":
        knobs = self.knobs
        if knobs.min_value >= knobs.max_value:
            raise ValueError(
                f"min_value {knobs.min_value} is not below max_value {knobs.max_value}: "
                f"a program needs different inputs"
            )
        if self.level == "micro":
            if knobs.inputs > MAX_MICRO_INPUTS:
                raise ValueError(
                    f"inputs {knobs.inputs} is too many for level micro: use {MAX_MICRO_INPUTS} "
                    f"at most, or level easy"
                )
            if max(abs(knobs.min_value), abs(knobs.max_value)) > MICRO_LIMIT:
                raise ValueError(
                    f"min_value {knobs.min_value} and max_value {knobs.max_value} of level micro "
                    f"must lie in -{MICRO_LIMIT}..{MICRO_LIMIT}: lower them, or use level easy"
                )
        return self

    @property
    def knobs(self) -> Knobs:
        """The knobs, given or the level's own."""
        own = DEFAULTS[self.level]
        return Knobs(
            own.lines if self.lines is None else self.lines,
            own.depth if self.depth is None else self.depth,
            own.inputs if self.inputs is None else self.inputs,
            own.min_value if self.min_value is None else self.min_value,
            own.max_value if self.max_value is None else self.max_value,
        )

    @property
    def label(self) -> str:
        """What reports call the level: its name, with the knobs that differ from its own."""
        knobs, own = self.knobs, DEFAULTS[self.level]
        parts: list[str] = [self.level]
        for letter, name in (("l", "lines"), ("d", "depth"), ("i", "inputs")):
            if getattr(knobs, name) != getattr(own, name):
                parts.append(f"{letter}{getattr(knobs, name)}")
        if (knobs.min_value, knobs.max_value) != (own.min_value, own.max_value):
            parts.append(f"{knobs.min_value}..{knobs.max_value}")
        return " ".join(parts)


class ProceduralPrograms(Strict):
    """Programs of a typed grammar."""

    type: Literal["procedural"] = "procedural"
    levels: tuple[LevelConfig, ...] = Field(min_length=1)
    """Levels of the programs, drawn by weight."""


class GivenPrograms(Strict):
    """A file of programs with their inputs and outputs: columns program, inputs, output."""

    type: Literal["jsonl", "parquet"]
    path: UserPath
    """The file: a JSON object a line, or Parquet."""
    screened: bool = True
    """Leave out constant programs, echoes, and outputs that many inputs give."""
    proposals: ProposalsConfig | None = None
    """New inputs in place of the file's, proposed by a language model; none by default."""


class CruxevalPrograms(Strict):
    """A file of functions with their arguments and results, as CRUXEval: code, input, output."""

    type: Literal["cruxeval"]
    path: UserPath
    """The file: a JSON object a line."""


Programs = Annotated[
    ProceduralPrograms | GivenPrograms | CruxevalPrograms, Field(discriminator="type")
]


class RunDemonstrationConfig(Strict):
    """Training rows that show how programs run and what an answer looks like, without any gold."""

    type: Literal["run"] = "run"
    per_problem: int = Field(4, ge=1, le=1024)
    """Rows (demonstrations) of each problem."""
    run_fraction: float = Field(0.8, ge=0, le=1)
    """Share of the problems with runs (an input and its output); the others get random inputs."""


class AbdShareConfig(Strict):
    """What one split's ABD problems may be told."""

    levels: tuple[LevelConfig, ...] | None = Field(None, min_length=1)
    """Levels of this split; the programs' own by default."""
    demonstrations: RunDemonstrationConfig | None = None
    """Make demonstration rows in place of problems with certified answers."""


class AbdSplitConfig(AbdShareConfig):
    """One split of a dataset of ABD problems."""

    num_problems: Annotated[int, Field(ge=1, le=1_000_000_000)] | Literal["all"]
    """Number of problems; all of a file of programs that the other splits leave."""


AbdSplits = dict[
    Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    Annotated[int, Field(ge=1, le=1_000_000_000)] | Literal["all"] | AbdSplitConfig,
]


class RunLimitsConfig(Strict):
    """What one run of a program may take while the dataset is made."""

    wall_s: float = Field(2.0, gt=0, le=600)
    """Seconds by the clock."""
    cpu_s: int = Field(2, ge=1, le=600)
    """Seconds of computing."""
    memory_mb: int = Field(256, ge=32, le=65_536)
    """Memory in MiB."""

    @property
    def sandbox(self) -> Limits:
        """The limits of the sandbox; streams are as long as it allows by default."""
        return Limits(wall_s=self.wall_s, cpu_s=self.cpu_s, memory_bytes=self.memory_mb << 20)


class AbdProblems(Strict):
    """Program abduction: what input makes this program print that output?"""

    style: Literal["affine", "compact"] = "affine"
    """Upstream's wording, or one token a word for tiny models (micro programs only)."""
    programs: Programs
    """Programs of a grammar, or of a file."""
    max_chance: float = Field(0.2, gt=0, le=1)
    """An output that more than this share of random inputs give is ambiguous, and left out."""
    max_program_chars: int = Field(6000, ge=20)
    """Longer programs are left out."""
    max_io_chars: int = Field(2000, ge=1)
    """Longer inputs and outputs are left out."""
    limits: RunLimitsConfig = RunLimitsConfig()
    """What one run may take; a program that takes more is left out."""

    @model_validator(mode="after")
    def _style_fits(self) -> "AbdProblems":
        if self.style == "compact":
            if not isinstance(self.programs, ProceduralPrograms):
                raise ValueError(
                    f"style compact needs programs.type procedural: the programs of a "
                    f"{self.programs.type} file are not written in its words"
                )
            check_compact("programs.levels", self.programs.levels)
        return self

    @property
    def proposals(self) -> ProposalsConfig | None:
        """What asks a language model for new inputs, if anything does."""
        return self.programs.proposals if isinstance(self.programs, GivenPrograms) else None

    def check_split(self, name: str, split: AbdSplitConfig) -> None:
        """Raise ValueError if a split's settings do not go with these."""
        where = f"splits.{name}"
        procedural = isinstance(self.programs, ProceduralPrograms)
        if split.num_problems == "all" and procedural:
            raise ValueError(f"{where} all needs a file of programs: give a number")
        if split.levels is not None:
            if not procedural:
                raise ValueError(f"{where}.levels needs programs.type procedural: remove it")
            if self.style == "compact":
                check_compact(f"{where}.levels", split.levels)
        if split.demonstrations and self.style != "compact":
            raise ValueError(f"{where}.demonstrations need style compact")


class AbdConfig(AbdProblems):
    """A dataset of program abduction problems with certified answers."""

    type: Literal["abd"] = "abd"
    splits: AbdSplits = Field(min_length=1)
    """Name of each split, and its number of problems or its own settings."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Seed of the problems; the run's seed by default."""
    shard_rows: int = Field(262_144, ge=1)
    """Most rows of one Parquet file."""

    @model_validator(mode="after")
    def _splits_fit(self) -> "AbdConfig":
        for name, split in self.split_configs.items():
            self.check_split(name, split)
        rests = [name for name, split in self.split_configs.items() if split.num_problems == "all"]
        if len(rests) > 1:
            raise ValueError(
                f"splits.{rests[1]} all: {rests[0]} takes all already; give one a number"
            )
        return self

    @property
    def split_configs(self) -> dict[str, AbdSplitConfig]:
        """The splits, each with its settings."""
        return {name: abd_split(value) for name, value in self.splits.items()}


def abd_split(value: int | str | AbdSplitConfig) -> AbdSplitConfig:
    """Return a split's settings; a number (or all) stands for that many problems."""
    if isinstance(value, AbdSplitConfig):
        return value
    return AbdSplitConfig.model_validate({"num_problems": value})


def check_compact(where: str, levels: tuple[LevelConfig, ...]) -> None:
    """Raise ValueError if the compact style has no words for some level."""
    for place, level in enumerate(levels):
        if level.level != "micro":
            raise ValueError(
                f"{where}.{place}.level {level.level} has no compact style: "
                f"use level micro, or style affine"
            )
        if level.knobs.min_value < 0:
            raise ValueError(
                f"{where}.{place}.min_value {level.knobs.min_value} has no word in the compact "
                f"style: inputs must lie in 0..{MICRO_LIMIT}"
            )
