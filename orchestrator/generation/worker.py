"""What a Ray worker does: make one part, and say what it came to, also where it failed.

An exception is told as data, so that one failure ends a job with one clear line. Each start leaves
a mark that only an end takes away: a part that has killed its worker TRIES times is not tried
again.
"""

import json
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import stamina

from datagen.blocks.parts import Outcome, draw_part, found_part, make_part
from datagen.blocks.plan import BlockPlan, DrawBlock, Part, RedrawBlock
from orchestrator.failures import PLAIN_FAILURES, GenerationFailed, is_user_mistake
from reward_fns.sandbox import SandboxError, configure_sandbox

TRIES = 3
"""Times that a part is tried, where the sandbox fails or the worker dies."""
Kind = Literal["", "mistake", "failure", "defect", "deadly"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of a part; `error` where it failed."""

    amount: int = 0
    dropped: str = "{}"
    kind: Kind = ""
    error: str = ""

    def outcome(self, part: Part) -> Outcome:
        """Return what the part came to; raises what the worker's exception means here."""
        if self.kind == "mistake":
            raise ValueError(self.error)
        if self.kind == "failure":
            raise GenerationFailed(f"{part.name}: {self.error}")
        if self.kind == "defect":
            raise RuntimeError(f"{part.name}: {self.error}")
        dropped: dict[str, int] = json.loads(self.dropped)
        return Outcome(self.amount, Counter(dropped))


def work(plan: BlockPlan, part: Part) -> Told:
    """Make a part in this process, unless it is there, or has killed its worker too often."""
    if found := found_part(plan, part):
        return Told(found.amount, json.dumps(found.dropped))
    starts = starts_path(plan, part)
    if not starts_again(starts):
        return Told(kind="deadly")
    told = _told(plan, part)
    starts.unlink(missing_ok=True)
    return told


def starts_again(starts: Path) -> bool:
    """Set this worker up and count its start; False if there were enough that had no end."""
    pa.set_cpu_count(1)  # Ray gives this process no more
    configure_sandbox(1)
    with starts.open("ab") as file:
        file.write(b".")
    return starts.stat().st_size <= TRIES


def probe(plan: BlockPlan, part: DrawBlock | RedrawBlock) -> None:
    """Draw the problems of a block and keep nothing of them."""
    configure_sandbox(1)
    for _ in draw_part(plan, part):
        pass


def starts_path(plan: BlockPlan, part: Part) -> Path:
    """Where the starts of a part are counted."""
    return plan.stem(part).with_name(part.name + ".starts")


def _told(plan: BlockPlan, part: Part) -> Told:
    try:
        for attempt in stamina.retry_context(on=SandboxError, attempts=TRIES, timeout=None):
            with attempt:
                outcome = make_part(plan, part)
        return Told(outcome.amount, json.dumps(outcome.dropped))
    except Exception as error:
        return Told(kind=kind_of(error), error=told_error(error))


def kind_of(error: Exception) -> Kind:
    """Return whose fault an exception is."""
    if is_user_mistake(error):
        return "mistake"
    return "failure" if isinstance(error, (*PLAIN_FAILURES, SandboxError)) else "defect"


def told_error(error: Exception) -> str:
    """Return what the driver has to know of an exception."""
    kind = kind_of(error)
    if kind == "defect":
        return "".join(traceback.format_exception(error))
    return str(error) if kind == "mistake" else f"{type(error).__name__}: {error}"
