"""`clutch run CONFIG`: the whole way from generated problems to a report."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

from cyclopts import Parameter

from orchestrator.config import load_config
from orchestrator.plan import print_plan
from orchestrator.progress import Progress
from orchestrator.quiet import prepare_environment


def run(
    config: Path,
    /,
    *,
    overrides: Annotated[tuple[str, ...], Parameter(name="--set", show_default=False)] = (),
    dry_run: bool = False,
    fresh: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Generate, train, evaluate and report, from one config file.

    The same command again goes on where it stopped; finished stages are not redone.

    Parameters
    ----------
    config
        The run's YAML file.
    overrides
        key.subkey=value on top of the file, as often as needed; stages by name or index
        (stages.grpo.max_steps=20).
    dry_run
        Print the resolved config and the plan, and do nothing.
    fresh
        Start over: delete the run's folder first.
    verbose
        Show what Ray and the other libraries print.
    json
        With --dry-run: print one JSON object.
    """
    if json and not dry_run:
        raise ValueError("--json goes with --dry-run: a run's results are in its result.json")
    resolved = load_config(config, overrides)
    prepare_environment(verbose=verbose)
    # Loaded by name only now, because Ray and torch take seconds and a typo none.
    if dry_run:
        plan = resolve_name("orchestrator.pipeline:plan_run")(resolved.config, fresh=fresh)
        print_plan(resolved, plan, as_json=json)
        return
    run_pipeline = resolve_name("orchestrator.pipeline:run_pipeline")
    with Progress() as progress:
        run_pipeline(resolved.config, fresh=fresh, verbose=verbose, progress=progress)
