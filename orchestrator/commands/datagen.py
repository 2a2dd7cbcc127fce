"""`clutch datagen sat --out DIR`: a dataset of SAT problems, generated or from DIMACS files.

The other families of problems have files of their own.
"""

from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from datagen.config import DatasetConfig, DimacsConfig, SatConfig
from datagen.dataset import build_dataset
from datagen.manifest import MANIFEST, Manifest
from orchestrator.commands.arguments import config_from
from orchestrator.progress import Progress
from orchestrator.reply_journal import journal_beside
from orchestrator.responder import check_api_key, open_responder

app = App(name="datagen", help="Make a dataset of problems.")
app.command(
    "orchestrator.commands.datagen_abd:abd",
    name="abd",
    help="Make a dataset of program abduction problems with certified answers.",
)
app.command(
    "orchestrator.commands.datagen_grpo:grpo",
    name="grpo",
    help="Make a dataset of SAT and ABD problems to train on, as large as wanted.",
)
app.command(
    "orchestrator.commands.datagen_sft:sft",
    name="sft",
    help="Make SFT data of recorded evaluations.",
)
app.command(
    "orchestrator.commands.datagen_ungar:ungar",
    name="ungar",
    help="Make traces of the high card duel.",
)


@app.command
def sat(
    *,
    out: Path,
    family: Literal["uniform", "planted", "q_hidden"] | None = None,
    style: Literal["affine", "compact"] = "affine",
    n: tuple[int, ...] = (),
    k: int | None = None,
    m: tuple[int, ...] = (),
    ratio: float | None = None,
    num: int | None = None,
    split: str | None = None,
    seed: int = 0,
    unsat_fraction: float | None = None,
    from_dimacs: Path | None = None,
    json: bool = False,
) -> None:
    """Make a dataset of SAT problems with certified answers.

    The same call again finds the dataset and does nothing.

    Parameters
    ----------
    out
        The dataset's folder.
    family
        Uniform random (certified by a solver), planted as upstream does, or planted without a
        bias of the literals (q_hidden, the default).
    style
        Upstream's wording, or one token a word for tiny models.
    n
        Number of variables (7 by default); several sizes are drawn equally often.
    k
        Literals in a clause (3 by default).
    m
        Number of clauses; one for all n, or one for each.
    ratio
        Clauses per variable, in place of m; the threshold of k by default.
    num
        Number of problems (1000 by default).
    split
        Name of the split: train by default, test with --from-dimacs.
    seed
        Seed of the problems.
    unsat_fraction
        Share of unsatisfiable problems; needs --family uniform.
    from_dimacs
        A .cnf file, or a folder or archive (.tar, .zip) of them, also as .gz, .xz,
        .bz2 or .lzma, in place of generated problems.
    json
        Print the manifest as one JSON object.
    """
    given = {
        "family": family,
        "n": n,
        "k": k,
        "m": m,
        "ratio": ratio,
        "num": num,
        "unsat_fraction": unsat_fraction,
    }
    given = {key: value for key, value in given.items() if value not in (None, ())}
    if from_dimacs is not None:
        config: DatasetConfig = _dimacs_config(from_dimacs, style, split or "test", given)
    else:
        config = _sat_config(style, split or "train", given)
    make(config, out, seed, as_json=json)


def make(config: DatasetConfig, out: Path, seed: int, *, as_json: bool) -> None:
    """Make or find a dataset, and print what it is."""
    if not (out / MANIFEST).is_file():
        check_api_key(config)
    respond = partial(open_responder, journal=journal_beside(out))
    with Progress() as progress, progress.parts(f"generate {out.name}") as count:
        manifest = build_dataset(config, out, seed, count, respond)
    print(manifest.model_dump_json() if as_json else summary(out, manifest))


def _dimacs_config(path: Path, style: str, split: str, given: dict[str, Any]) -> DimacsConfig:
    if given:
        flags = ", ".join("--" + key.replace("_", "-") for key in given)
        raise ValueError(f"{flags} cannot go with --from-dimacs: the files say it")
    if not path.exists():
        raise ValueError(f"--from-dimacs: no file or folder at {path}")
    data = {"type": "dimacs", "path": str(path), "style": style, "split": split}
    return config_from(DimacsConfig, data, flags={"path": "from-dimacs"})


def _sat_config(style: str, split: str, given: dict[str, Any]) -> SatConfig:
    ns, ms = given.get("n", (7,)), given.get("m", ())
    if len(ms) > 1 and len(ms) != len(ns):
        raise ValueError(f"{len(ms)} --m for {len(ns)} --n: give one m for all, or one for each")
    rest = {key: given[key] for key in ("k", "ratio") if key in given}
    sizes = [{"n": n, **rest} for n in ns]
    if ms:
        sizes = [{**size, "m": m} for size, m in zip(sizes, cycle(ms), strict=False)]
    data = {
        "type": "sat",
        "style": style,
        "sizes": sizes,
        "splits": {split: given.get("num", 1000)},
    }
    data |= {key: given[key] for key in ("family", "unsat_fraction") if key in given}
    return config_from(SatConfig, data, flags={"sizes": "n", "splits": "num"})


def summary(out: Path | str, manifest: Manifest) -> str:
    """Return what a dataset is, to print, and what comes next where it is in a folder."""
    rows = ", ".join(f"{name} {split.num_rows:,} rows" for name, split in manifest.splits.items())
    lines = [f"{out}: {rows}; sha256 {manifest.dataset_hash}"]
    dropped = [f"{count:,} {reason}" for reason, count in manifest.dropped.items() if count]
    if dropped:
        lines.append(f"not used: {', '.join(dropped)}")
    if isinstance(out, Path):
        lines.append(f"next: clutch evaluate CHECKPOINT --data {out}")
    return "\n".join(lines)
