"""`clutch evidence validate FILE`: whether a metrics.json is sound SCP v1 evidence."""

import json as json_module
from pathlib import Path

from cyclopts import App

from orchestrator.evidence import check_origin, evidence_data, read_evidence

app = App(name="evidence", help="Check evidence of training.")


@app.command
def validate(file: Path, /, *, json: bool = False) -> None:
    """Check a metrics.json against SCP v1 (or its older flat form).

    Parameters
    ----------
    file
        The metrics.json.
    json
        Print what was read as one JSON object.
    """
    evidence = read_evidence(file)
    covered, data = check_origin(file, evidence), evidence_data(evidence)
    if json:
        told = {"valid": True, "form": evidence.form, "covered": covered, "evidence": data}
        print(json_module.dumps(told))
        return
    by = "its bytes are as the run wrote them" if covered else "it is not covered by a hash"
    print(f"{file}: valid {evidence.form} evidence of run {data['run_id']}; {by}")
