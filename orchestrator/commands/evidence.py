"""`clutch evidence validate FILE`: whether a metrics.json is sound SCP v1 evidence."""

import json as json_module
from pathlib import Path

from cyclopts import App

from orchestrator.evidence import evidence_data, read_evidence

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
    data = evidence_data(evidence)
    if json:
        print(json_module.dumps({"valid": True, "form": evidence.form, "evidence": data}))
        return
    print(f"{file}: valid {evidence.form} evidence of run {data['run_id']}")
