"""`clutch report RUN`: writes a run's report again from what its folder holds."""

import json as json_module
import sys
from pathlib import Path
from pkgutil import resolve_name

from orchestrator.finished_run import settle_changes, write_derived
from orchestrator.quiet import prepare_environment
from orchestrator.report import PAGE_NAME, write_report
from orchestrator.result import write_result
from orchestrator.run_files import is_covered
from orchestrator.table import print_table


def report(run: Path, /, *, json: bool = False) -> None:
    """Write delta_report.md and delta_report.html again, and print the table.

    Parameters
    ----------
    run
        The run's folder.
    json
        Print what the table shows as one JSON object.
    """
    if not (run / "run_manifest.json").is_file():
        raise ValueError(f"no run at {run}: a run's folder holds run_manifest.json")
    covered = is_covered(run)
    if not covered:
        print(
            f"{run} is not covered by hashes, as runs of earlier versions are: bytes that were "
            "changed go unnoticed",
            file=sys.stderr,
        )
    known = settle_changes(run, _tell, evaluates=False) if covered else None
    if covered and not (run / "result.json").is_file() and (run / "mlflow.json").is_file():
        # A run that was killed; loaded by name only now, because MLflow takes seconds.
        prepare_environment()
        resolve_name("orchestrator.tracking_store:end_if_abandoned")(run.resolve())
    if known is not None:
        result = write_derived(run, known=known)
    else:
        result = write_result(run)
        write_report(run)
    if json:
        print(json_module.dumps(result))
        return
    print_table(result)
    print(f"report: {run / PAGE_NAME}")


def _tell(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)
