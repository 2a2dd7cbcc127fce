"""`clutch report RUN`: writes a run's report again from what its folder holds."""

from pathlib import Path
from pkgutil import resolve_name

from orchestrator.quiet import prepare_environment
from orchestrator.result import write_result
from orchestrator.table import print_table


def report(run: Path, /) -> None:
    """Write delta_report.md and delta_report.html again, and print the table.

    Parameters
    ----------
    run
        The run's folder.
    """
    if not (run / "run_manifest.json").is_file():
        raise ValueError(f"no run at {run}: a run's folder holds run_manifest.json")
    prepare_environment()
    # Loaded by name only now, because plots take a second to import and a wrong path none.
    result = write_result(run)
    page = resolve_name("orchestrator.report:write_report")(run)
    print_table(result)
    print(f"report    {page}")
