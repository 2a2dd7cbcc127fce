"""`clutch datagen abd --out DIR`: a dataset of ABD problems, generated or of given programs."""

from pathlib import Path
from typing import Any, Literal

from datagen.abd_config import AbdConfig
from orchestrator.commands.arguments import config_from
from orchestrator.commands.datagen import make
from orchestrator.commands.proposal_flags import ProposalFlags

KNOBS = ("lines", "depth", "inputs", "min_value", "max_value")


def abd(
    *,
    out: Path,
    level: tuple[Literal["micro", "easy", "medium", "hard"], ...] = (),
    lines: int | None = None,
    depth: int | None = None,
    inputs: int | None = None,
    min_value: int | None = None,
    max_value: int | None = None,
    style: Literal["affine", "compact"] = "affine",
    max_chance: float | None = None,
    num: int | None = None,
    split: str | None = None,
    seed: int = 0,
    from_programs: Path | None = None,
    from_cruxeval: Path | None = None,
    proposals: ProposalFlags | None = None,
    json: bool = False,
) -> None:
    """Make a dataset of program abduction problems with certified answers.

    Programs run in the sandbox only. The same call again finds the dataset and does nothing.

    Parameters
    ----------
    out
        The dataset's folder.
    level
        Level of the programs, several drawn equally often (easy, medium and hard by default; micro
        with --style compact).
    lines
        About so many lines, in place of the level's own.
    depth
        Blocks inside each other, at most; of micro programs: operations.
    inputs
        Inputs that are read, at most; of micro programs: numbers on one line.
    min_value
        Least number in an input.
    max_value
        Greatest number in an input.
    style
        Upstream's wording, or one token a word for tiny models (level micro only).
    max_chance
        An output that more than this share of random inputs give is left out (0.2 by default).
    num
        Number of problems (1000 by default; all with given programs).
    split
        Name of the split: train by default, test with given programs.
    seed
        Seed of the problems.
    from_programs
        A .jsonl or .parquet file with the columns program, inputs and output, in place of
        generated programs.
    from_cruxeval
        A JSONL file with the columns code, input and output, as CRUXEval, in place of generated
        programs.
    json
        Print the manifest as one JSON object.
    """
    knobs = dict(zip(KNOBS, (lines, depth, inputs, min_value, max_value), strict=True))
    knobs = {name: value for name, value in knobs.items() if value is not None}
    generated = {**({"level": level} if level else {}), **knobs}
    asked = (proposals or ProposalFlags()).settings(from_programs)
    programs = _given_programs(from_programs, from_cruxeval, generated)
    data: dict[str, Any] = {"type": "abd", "style": style}
    if max_chance is not None:
        data["max_chance"] = max_chance
    if programs is None:
        names = level or (("micro",) if style == "compact" else ("easy", "medium", "hard"))
        levels = [{"level": name, **knobs} for name in names]
        data["programs"] = {"type": "procedural", "levels": levels}
        data["splits"] = {split or "train": 1000 if num is None else num}
        flag = "level"
    else:
        data["programs"] = programs | ({"proposals": asked} if asked else {})
        data["splits"] = {split or "test": "all" if num is None else num}
        flag = "from-programs" if from_programs else "from-cruxeval"
    config = config_from(AbdConfig, data, flags={"programs": flag, "splits": "num"})
    make(config, out, seed, as_json=json)


def _given_programs(
    from_programs: Path | None, from_cruxeval: Path | None, generated: dict[str, Any]
) -> dict[str, str] | None:
    """The settings of given programs, None if they are generated; mistakes named by flag."""
    if from_programs is None and from_cruxeval is None:
        return None
    if from_programs is not None and from_cruxeval is not None:
        raise ValueError("--from-programs and --from-cruxeval are both given: give one of them")
    flag, path = "--from-programs", from_programs
    if path is None:
        flag, path = "--from-cruxeval", from_cruxeval
    assert path is not None
    if generated:
        flags = ", ".join("--" + name.replace("_", "-") for name in generated)
        raise ValueError(f"{flags} cannot go with {flag}: the programs are given")
    if not path.is_file():
        raise ValueError(f"{flag}: no file at {path}")
    kind = "cruxeval" if from_cruxeval else path.suffix.removeprefix(".")
    if kind not in ("cruxeval", "jsonl", "parquet"):
        raise ValueError(f"{flag} {path}: use a .jsonl or .parquet file")
    return {"type": kind, "path": str(path)}
