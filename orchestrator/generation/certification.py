"""Certifies a dataset, in this process or in pieces by the workers of a Ray."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datagen.certify import Findings, Piece, look_at
from orchestrator.failures import GenerationFailed
from orchestrator.generation.ray_data import map_numbers
from orchestrator.generation.worker import TRIES, starts_again, told_error
from orchestrator.progress import Task


@dataclass(frozen=True)
class RayEach:
    """Looks at pieces on the Ray that is there; starts are counted in `folder`."""

    workers: int
    folder: Path
    task: Task

    def __call__(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Findings]]:
        """Yield what is found in each piece; raises GenerationFailed where that cannot be told."""
        folder = self.folder

        def look(number: int) -> dict[str, Any]:
            starts = folder / f"{number}.starts"
            if not starts_again(starts):
                return _row(error=f"its worker died {TRIES} times")
            try:
                return _row(look_at(pieces[number]))
            except Exception as error:
                return _row(error=told_error(error))
            finally:
                starts.unlink(missing_ok=True)

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            for number, row in map_numbers(look, len(pieces), workers=self.workers):
                piece = pieces[number]
                if row["error"]:
                    raise GenerationFailed(f"{piece.path} was not certified: {row['error']}")
                self.task.advance(piece.num_rows)
                yield piece, _findings(row)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _row(findings: Findings | None = None, error: str = "") -> dict[str, Any]:
    """What a worker sends."""
    found = findings or Findings()
    told = json.dumps({"counts": found.counts, "failures": found.failures})
    return {"told": told, "marks": found.marks.tobytes(), "error": error}


def _findings(row: dict[str, Any]) -> Findings:
    told = json.loads(row["told"])
    marks = np.frombuffer(row["marks"], np.uint64)
    return Findings(Counter(told["counts"]), told["failures"], marks)
