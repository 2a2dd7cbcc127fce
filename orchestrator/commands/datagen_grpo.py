"""`clutch datagen grpo -n 10000 --out URI`: SAT and ABD problems to train on, as many as wanted.

Few problems are made by this process, many by Ray Data: here, or on the cluster that RAY_ADDRESS
names, where `ray job submit --working-dir . -- python -m orchestrator datagen grpo ...` starts the
same. The dataset is the same either way.
"""

import sys
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from datagen.blocks.build import build_in_blocks, plan_blocks
from datagen.blocks.parts import part_file
from datagen.blocks.steps import run_here
from datagen.certify import NotCertified, certify, told
from datagen.config import MixConfig
from datagen.dataset import identify, open_source
from datagen.manifest import MANIFEST, Manifest
from orchestrator.commands.arguments import config_from
from orchestrator.commands.datagen import summary
from orchestrator.commands.dataset_target import DatasetTarget, dataset_target
from orchestrator.failures import GenerationFailed
from orchestrator.generation.size import is_large, num_problems
from orchestrator.generation.steps import ShownSteps
from orchestrator.progress import Progress
from orchestrator.quiet import prepare_environment

FORMATS = ("trl", "affine_grpo")
"""What the rows must be records of."""


@Parameter(name="*")
@dataclass(frozen=True)
class ProblemFlags:
    """The problems.

    Parameters
    ----------
    num
        Number of problems to train on.
    num_test
        Number of problems of a test split beside it.
    sat_ratio
        Share of SAT problems.
    style
        Upstream's wording, or one token a word for tiny models.
    sat_n
        Variables of SAT problems (7 by default); several sizes are drawn equally often.
    sat_k
        Literals in a clause (3 by default).
    abd_level
        Level of the programs, several drawn equally often (easy, medium and hard by default; micro
        with --style compact).
    """

    num: Annotated[int, Parameter(name=("--num", "-n"))] = 1000
    num_test: int = 0
    sat_ratio: float = 0.5
    style: Literal["affine", "compact"] = "affine"
    sat_n: tuple[int, ...] = ()
    sat_k: int | None = None
    abd_level: tuple[Literal["micro", "easy", "medium", "hard"], ...] = ()

    def config(self) -> MixConfig:
        """The dataset's config; mistakes are told by flag."""
        rest = {} if self.sat_k is None else {"k": self.sat_k}
        usual = ("micro",) if self.style == "compact" else ("easy", "medium", "hard")
        levels = [{"level": level} for level in self.abd_level or usual]
        data: dict[str, Any] = {
            "type": "mix",
            "sat": {"style": self.style, "sizes": [{"n": n, **rest} for n in self.sat_n or (7,)]},
            "abd": {"style": self.style, "programs": {"type": "procedural", "levels": levels}},
            "sat_ratio": self.sat_ratio,
            "splits": {"train": self.num} | ({"test": self.num_test} if self.num_test else {}),
        }
        flags = {"sat": "sat-n", "abd": "abd-level", "splits": "num"}
        return config_from(MixConfig, data, flags=flags)


def grpo(
    *,
    out: str,
    problems: ProblemFlags | None = None,
    seed: int = 0,
    max_dropped: float = 0.9,
    workers: int | None = None,
    validate: bool = False,
    upload: bool = False,
    presign_hours: int | None = None,
    delete_local: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Make a dataset of SAT and ABD problems with certified answers, shuffled together.

    The same call again goes on where it was interrupted, and finds a dataset that is whole. Rows
    depend on the settings and the seed alone: not on workers, crashes or restarts.

    Parameters
    ----------
    out
        The dataset's folder, or s3://BUCKET/KEY to upload it to; it is then made in data/NAME.
    seed
        Seed of the problems.
    max_dropped
        The job fails if more than this share of a task's draws make no problem.
    workers
        Workers of Ray Data, each on one CPU: all CPUs by default where there are 200,000 SAT or
        50,000 ABD problems or more, and none, but this process, for fewer.
    validate
        Certify every row: answers by the reward functions, no duplicate, no leak, its formats.
    upload
        Put the dataset in $S3_BUCKET_NAME, as datasets/NAME.
    presign_hours
        Print URLs that read what was uploaded without keys for so many hours, 168 at most.
    delete_local
        Remove the local copy once every byte is confirmed to be there.
    dry_run
        Say what would be made, and write nothing.
    json
        Print the manifest as one JSON object.
    """
    if not 0 < max_dropped <= 1:
        raise ValueError(f"--max-dropped is {max_dropped:g}: must be above 0 and at most 1")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers is {workers}: use 1 or more, or leave it out")
    config = (problems or ProblemFlags()).config()
    target = dataset_target(out, upload, presign_hours, delete_local, dry_run)
    on_ray = workers is not None or is_large(config)
    if dry_run:
        print(_planned(config, seed, target, on_ray))
        return
    if (lines := target.found(identify(open_source(config, seed)).config_hash)) is not None:
        print("\n".join(lines))
        return
    with Progress() as progress:
        job = GrpoJob(config, target.folder, seed, max_dropped, FORMATS if validate else ())
        try:
            manifest, counts = job.on_ray(workers, progress) if on_ray else job.here(progress)
        except NotCertified as error:
            raise GenerationFailed(str(error)) from None
        lines = [told(counts, FORMATS)] if counts else []
        with progress.waiting("the upload"):
            lines += target.publish()
    print(manifest.model_dump_json() if json else summary(target.place, manifest))
    for line in lines:
        print(line, file=sys.stderr if json else sys.stdout)


@dataclass(frozen=True)
class GrpoJob:
    """What is made, and certified as records of `formats` if there are any."""

    config: MixConfig
    folder: Path
    seed: int
    max_dropped: float
    formats: tuple[str, ...]

    def here(self, progress: Progress) -> tuple[Manifest, Counter[str]]:
        """Make it in this process."""
        manifest = build_in_blocks(
            self.config,
            self.folder,
            self.seed,
            run_here,
            steps=ShownSteps(progress, self.folder.name),
            max_dropped=self.max_dropped,
        )
        if not self.formats:
            return manifest, Counter()
        with progress.waiting("certification"):
            return manifest, certify(self.folder, self.formats)

    def on_ray(self, workers: int | None, progress: Progress) -> tuple[Manifest, Counter[str]]:
        """Make it with Ray Data."""
        prepare_environment()
        # Loaded by name only now, because Ray takes seconds and a small dataset none.
        make = resolve_name("orchestrator.generation.large:make_on_ray")
        with redirect_stdout(sys.stderr):  # where Ray tells of dead workers: stdout is for results
            made: tuple[Manifest, Counter[str]] = make(
                self.config,
                self.folder,
                self.seed,
                workers=workers,
                max_dropped=self.max_dropped,
                formats=self.formats,
                progress=progress,
            )
        return made


def _planned(config: MixConfig, seed: int, target: DatasetTarget, on_ray: bool) -> str:
    """Say what would be made, and what is there of it."""
    plan = plan_blocks(config, target.folder, seed)
    blocks = [
        block
        for task, maker in plan.makers.items()
        for split in maker.splits
        for block in plan.blocks(task, split)
    ]
    there = sum(part_file(plan, block).is_file() for block in blocks)
    counts = ", ".join(f"{count:,} {task}" for task, count in num_problems(config).items())
    how = "by Ray Data" if on_ray else "in this process"
    lines = [f"{target.folder}: {counts} problems in {len(blocks):,} blocks, {how}"]
    if (target.folder / MANIFEST).is_file():
        lines.append("it is there; its hashes would be checked")
    elif there:
        lines.append(f"{there:,} blocks are drawn already")
    if target.bucket is not None:
        lines.append(f"it would be uploaded to {target.bucket.uri}")
    return "\n".join([*lines, "dry run: nothing is written"])
