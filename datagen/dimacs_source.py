"""Makes datasets of DIMACS files, each formula certified by a solver."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datagen.chance import Chance
from datagen.config import DimacsConfig
from datagen.dimacs import Instance, read_dimacs
from datagen.keys import item_key
from datagen.manifest import SCHEMA, SplitInfo
from datagen.sat import TASK
from datagen.shards import ShardWriter
from datagen.solver import solve
from datagen.source import Progress, SplitParts, Written
from datagen.styles import (
    answer_text,
    difficulty_label,
    difficulty_text,
    env_text,
    prompt_text,
)

CHUNK_ROWS = 256


@dataclass(frozen=True)
class DimacsSource:
    """The formulas of a `DimacsConfig`, in order of their names; nothing in them is random."""

    config: DimacsConfig
    seed: int
    ignored: list[str] = field(default_factory=list)
    """Files at the path that are no formulas, once these were read."""
    generator = "datagen.dimacs"
    tasks = (TASK,)

    @cached_property
    def instances(self) -> list[Instance]:
        """The formulas, read once."""
        return read_dimacs(Path(self.config.path), self.ignored)

    def resolved(self) -> dict[str, Any]:
        """The config, with the formulas' own hash in place of where they lie."""
        digest = hashlib.sha256()
        for instance in self.instances:
            digest.update(repr((instance.name, instance.num_vars, instance.clauses)).encode())
        kept = self.config.model_dump(exclude={"path"})
        return {**kept, "source": Path(self.config.path).name, "formulas": digest.hexdigest()}

    def write(self, folder: Path, progress: Progress) -> Written:
        """Certify and write every formula."""
        split, instances = self.config.split, self.instances
        writer = ShardWriter(folder, split, self.config.shard_rows)
        labels: Counter[str] = Counter()
        chance = Chance()
        for start in range(0, len(instances), CHUNK_ROWS):
            rows = []
            for index, instance in enumerate(instances[start : start + CHUNK_ROWS], start):
                values = solve(instance.num_vars, instance.clauses)
                rows.append(self._row(index, instance, values))
                labels[difficulty_label(*_size(instance))] += 1
                _add_chance(chance, instance, values is not None, index)
            writer.write(pa.Table.from_pylist(rows, schema=SCHEMA))
            progress(split, labels.total(), len(instances))
        shards = writer.close()
        info = SplitInfo(num_rows=len(instances), num_problems=len(instances), shards=shards)
        return Written({split: SplitParts(info, labels, chance)}, _others(self.ignored))

    def _row(self, index: int, instance: Instance, values: list[bool] | None) -> dict[str, Any]:
        n, clauses, style = instance.num_vars, instance.clauses, self.config.style
        return {
            "id": f"{TASK}:{instance.name}",
            "task": TASK,
            "split": self.config.split,
            "index": index,
            "prompt": prompt_text(style, n, clauses),
            "answer": answer_text(style, values),
            "env": env_text(n, clauses, values is not None),
            "difficulty": difficulty_text(*_size(instance)),
        }


def _others(names: list[str]) -> dict[str, int]:
    """What the manifest says of files that are no formulas: the first names, and how many."""
    if not names:
        return {}
    shown = ", ".join(repr(name)[1:-1] for name in names[:5])
    more = ", ..." if len(names) > 5 else ""
    return {f"other files ({shown}{more})": len(names)}


def _size(instance: Instance) -> tuple[int, int, int]:
    """The n, k (of the longest clause) and m of a formula."""
    return instance.num_vars, max(map(len, instance.clauses)), len(instance.clauses)


def _add_chance(chance: Chance, instance: Instance, satisfiable: bool, index: int) -> None:
    """Count one formula; shorter clauses are padded by repeating a literal, which changes none."""
    n, k, _ = _size(instance)
    codes = np.array(
        [
            [_code(x) for x in (*clause, *[clause[0]] * (k - len(clause)))]
            for clause in instance.clauses
        ],
        np.uint16,
    )[None]
    balance = [0] * n
    for clause in instance.clauses:
        for literal in clause:
            balance[abs(literal) - 1] += 1 if literal > 0 else -1
    key = item_key(TASK, instance.name, 0, index)
    chance.add(codes, n, np.array([satisfiable]), [key], np.array([balance]) >= 0)


def _code(literal: int) -> int:
    return 2 * abs(literal) - 2 + (literal < 0)
