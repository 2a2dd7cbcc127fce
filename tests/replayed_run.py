"""Shows the events of a small run with the progress code of a run: an event each line of stdin.

    python -m tests.replayed_run EVENTS FOLDER

EVENTS are what the driver of the small quickstart read at each look: the workers' progress and the
rows of metrics that were new. FOLDER is a finished run, whose table ends it.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.closing import print_ending
from orchestrator.progress import Progress
from orchestrator.result import build_result
from orchestrator.tracking import NoTracker
from orchestrator.watch import TrainingWatch
from trainers.journal import Journal


def replay(events: Path, run: Path) -> None:
    """Show one run from its first wait to its table."""
    with Progress() as progress, TemporaryDirectory() as folder:
        with progress.waiting("Ray to start"):
            sys.stdin.readline()
        with progress.parts("generate sat") as count:
            for split, total in (("test", 40), ("train", 60), ("warmup", 100)):
                count(split, total, total)
        with (
            Journal(Path(folder) / "metrics.jsonl") as metrics,
            TrainingWatch(Path(folder), progress, NoTracker()) as watch,
        ):
            for line in events.read_text().splitlines():
                event = json.loads(line)
                metrics.append(event["metrics"])
                metrics.flush()
                watch.look(event["progress"])
                sys.stdin.readline()
        with progress.waiting("the report"):
            sys.stdin.readline()
        progress.close()
        print_ending(run, build_result(run), "grpo", None)


if __name__ == "__main__":
    while sys.stdin.readline().strip() == "again":
        replay(Path(sys.argv[1]), Path(sys.argv[2]))
