"""What a run would do: the resolved config and each stage with why it runs or not."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.config import ResolvedConfig, config_data, run_folder


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One step of a run: what would be done with it, and why."""

    name: str
    action: Literal["run", "skip", "resume"]
    reason: str


def print_plan(
    resolved: ResolvedConfig, plan: Sequence[PlanItem], *, as_json: bool = False
) -> None:
    """Print the resolved config, each value with its source, and the table of steps."""
    if as_json:
        print(plan_json(resolved, plan))
        return
    sys.stdout.write(resolved.annotated())
    print(f"\n# the run's folder: {run_folder(resolved.config)}")
    console = Console(soft_wrap=True)
    table = Table("step", "action", "why", box=None, pad_edge=False)
    for item in plan:
        table.add_row(Text(item.name), Text(item.action), Text(item.reason))
    console.print(table)


def plan_json(resolved: ResolvedConfig, plan: Sequence[PlanItem]) -> str:
    """The same as one JSON object: config, sources by dotted path, plan."""
    sources = {".".join(map(str, path)): source for path, source in resolved.sources().items()}
    return json.dumps(
        {
            "config": config_data(resolved.config),
            "sources": sources,
            "folder": str(run_folder(resolved.config)),
            "plan": [asdict(item) for item in plan],
        }
    )
