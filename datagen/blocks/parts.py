"""Makes one part of a dataset, block or shard, wherever a worker runs."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datagen.blocks.claims import Marks
from datagen.blocks.drawing import Drawing
from datagen.blocks.files import facts_path, read_facts, whole_path, write_block
from datagen.blocks.plan import BlockPlan, DrawBlock, Part, RedrawBlock, Shard
from datagen.blocks.shard_rows import shard_tables
from datagen.draw import MAX_ATTEMPTS
from datagen.manifest import ShardInfo, file_sha256
from datagen.shards import ShardWriter, partial_path, sync


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part came to."""

    amount: int
    """Problems or, of a shard, rows."""
    dropped: Counter[str] = field(default_factory=Counter)


def found_part(plan: BlockPlan, part: Part) -> Outcome | None:
    """Return what a part came to that is there already, None if it is not."""
    if not part_file(plan, part).is_file():
        return None
    if isinstance(part, Shard):
        info = read_shard_info(plan, part)
        file = plan.dataset / info.file
        whole = file.is_file() and file_sha256(file) == info.sha256
        return Outcome(part.amount) if whole else None
    return Outcome(part.amount, read_facts(plan.stem(part)).dropped)


def make_part(plan: BlockPlan, part: Part) -> Outcome:
    """Make one part; nothing of it is seen before it is whole, and its bytes are always the same.

    Raises ValueError where a config's problems run out.
    """
    if isinstance(part, Shard):
        _write_shard(plan, part)
        return Outcome(part.amount)
    facts = write_block(plan.stem(part), draw_part(plan, part))
    return Outcome(part.amount, facts.dropped)


def draw_part(plan: BlockPlan, part: DrawBlock | RedrawBlock) -> Iterator[Drawing]:
    """Yield the problems of a block, chunk by chunk."""
    maker = plan.makers[part.task]
    earlier = earlier_marks(plan, part.task, part.split) if maker.needs_claims(part.split) else None
    if isinstance(part, DrawBlock):
        step = maker.chunk_problems(part.split)
        for start in range(part.start, part.stop, step):
            indices = np.arange(start, min(start + step, part.stop))
            yield maker.draw(part.split, indices, None, earlier)
        return
    losers = np.load(plan.losers_path(part.task, part.split, part.round), mmap_mode="r")
    lines = np.asarray(losers[part.start : part.stop])
    for index, attempt in lines.tolist():
        if attempt >= MAX_ATTEMPTS:
            raise maker.exhausted(part.split, index)
    yield maker.draw(part.split, lines[:, 0], lines[:, 1], earlier)


def earlier_marks(plan: BlockPlan, task: str, split: str) -> Mapping[str, Marks]:
    """Return the marks of the splits that claim before this one, mapped from their files."""
    splits = plan.makers[task].splits
    return {
        name: Marks(np.load(plan.marks_path(task, name), mmap_mode="r"))
        for name in splits[: splits.index(split)]
    }


def part_file(plan: BlockPlan, part: Part) -> Path:
    """Return the file that is written last of all when a part is made."""
    stem = plan.stem(part)
    return _info_path(plan, part) if isinstance(part, Shard) else facts_path(stem)


def read_shard_info(plan: BlockPlan, shard: Shard) -> ShardInfo:
    """Return what is known of a shard that is made."""
    return ShardInfo.model_validate_json(_info_path(plan, shard).read_bytes())


def _write_shard(plan: BlockPlan, shard: Shard) -> None:
    """Write a shard aside, and its hash once it is in its place."""
    aside = partial_path(plan.work / "parts" / shard.name)
    aside.mkdir(exist_ok=True)
    try:
        writer = ShardWriter(aside, shard.split, shard.num_rows, first=shard.number)
        for table in shard_tables(plan, shard):
            writer.write(table)
        (info,) = writer.close()
        (aside / info.file).replace(plan.dataset / info.file)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync(plan.dataset)
    with whole_path(_info_path(plan, shard)) as partial:
        partial.write_text(info.model_dump_json(), encoding="utf-8")


def _info_path(plan: BlockPlan, shard: Shard) -> Path:
    return plan.work / "parts" / f"{shard.name}.json"
