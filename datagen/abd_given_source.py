"""Makes datasets of ABD problems from files of programs."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from datagen.abd import TASK
from datagen.abd_chance import AbdChance
from datagen.abd_config import AbdConfig, CruxevalPrograms, GivenPrograms
from datagen.abd_files import GivenFile, open_given
from datagen.abd_given import Certified, GivenDraw
from datagen.abd_rows import Row, rows_table
from datagen.abd_styles import answer_text, difficulty_text, env_text
from datagen.draw import claim_order
from datagen.manifest import RepliesInfo, SplitInfo
from datagen.proposed_inputs import InputFinder
from datagen.replies import OpenResponder
from datagen.shards import ShardWriter
from datagen.source import Progress, SplitParts, Written

CHUNK_ROWS = 256


@dataclass(frozen=True)
class AbdGivenSource:
    """The problems of an `AbdConfig` with given programs; `seed` deals them out to the splits."""

    config: AbdConfig
    seed: int
    open_responder: OpenResponder | None = None
    """Opens the language model, where the config asks for new inputs."""
    generator = "datagen.abd_given"
    tasks = (TASK,)

    @property
    def programs(self) -> GivenPrograms | CruxevalPrograms:
        """Where the programs come from."""
        programs = self.config.programs
        assert isinstance(programs, GivenPrograms | CruxevalPrograms)
        return programs

    @cached_property
    def given(self) -> GivenFile:
        """The file, read once."""
        return open_given(Path(self.programs.path), self.programs.type)

    @property
    def label(self) -> str:
        """What reports call the problems: CRUXEval, or the file's name."""
        return "cruxeval" if self.programs.type == "cruxeval" else self.given.path.stem

    def resolved(self) -> dict[str, Any]:
        """The config with its seed, and the file's own hash in place of where it lies."""
        splits = {
            name: {"num_problems": split.num_problems}
            for name, split in self.config.split_configs.items()
        }
        programs = {**self.programs.model_dump(exclude={"path"}), "file": self.given.path.name}
        kept = self.config.model_dump(exclude={"splits", "seed", "programs"})
        programs["sha256"] = self.given.sha256
        if self.config.proposals is not None:
            programs["proposals"] = self.config.proposals.identity
        return {**kept, "seed": self.seed, "programs": programs, "splits": splits}

    def write(self, folder: Path, progress: Progress) -> Written:
        """Certify and write every split, in the order in which they claim problems."""
        proposals = self.config.proposals
        if proposals is None:
            return self._write(folder, progress, None)
        if self.open_responder is None:
            raise ValueError(
                f"programs.proposals asks for the language model {proposals.model!r}, and this "
                "build was given none: hand in open_responder"
            )
        with self.open_responder(proposals) as responder:
            finder = InputFinder(proposals, responder, self.config.limits.sandbox)
            written = self._write(folder, progress, finder)
            replies = RepliesInfo(
                base_url=proposals.base_url,
                model=proposals.model,
                num_replies=responder.num_replies,
                sha256=responder.sha256,
            )
        dropped = {**written.dropped, **finder.dropped}
        return replace(written, dropped=dropped, replies=replies)

    def _write(self, folder: Path, progress: Progress, finder: InputFinder | None) -> Written:
        splits = self.config.split_configs
        whole = len(splits) == 1 and next(iter(splits.values())).num_problems == "all"
        draw = GivenDraw(self.config, self.given, self.seed, shuffled=not whole, finder=finder)
        order = sorted(
            claim_order(self.config), key=lambda name: splits[name].num_problems == "all"
        )
        parts = {split: self._write_split(draw, split, folder, progress) for split in order}
        return Written({name: parts[name] for name in splits}, dict(draw.dropped))

    def _write_split(
        self, draw: GivenDraw, split: str, folder: Path, progress: Progress
    ) -> SplitParts:
        asked = self.config.split_configs[split].num_problems
        count = None if asked == "all" else asked
        writer = ShardWriter(folder, split, self.config.shard_rows)
        chance = AbdChance()
        done = 0
        problems = draw.problems_of(split, count, chance)
        while chunk := list(islice(problems, CHUNK_ROWS)):
            writer.write(rows_table(self._row(split, done + i, x) for i, x in enumerate(chunk)))
            done += len(chunk)
            progress(split, done, count or len(self.given))
        if not done:
            raise ValueError(
                f"splits.{split}: none of the {len(self.given)} programs of {self.given.path} "
                f"makes a problem (left out: {dict(draw.dropped)})"
            )
        info = SplitInfo(num_rows=done, num_problems=done, shards=writer.close())
        return SplitParts(info, Counter({self.label: done}), chance)

    def _row(self, split: str, index: int, one: Certified) -> Row:
        num_lines = one.case.program.count("\n") + 1
        return (
            f"{TASK}:{self.given.path.stem}:{one.case.name}",
            TASK,
            split,
            index,
            one.prompt,
            answer_text("affine", one.stdin),
            env_text(one.program, one.expected),
            difficulty_text(self.label, {"lines": num_lines}),
        )
