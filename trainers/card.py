"""The model card beside every checkpoint."""

from collections.abc import Mapping
from typing import Any


def model_card(meta: Mapping[str, Any]) -> str:
    """Return README.md of a checkpoint: what it was made from, and what it is not for."""
    before = meta["from_checkpoint"] or "random weights"
    hashes = "\n".join(f"- {name}: `{value}`" for name, value in meta["dataset_hashes"].items())
    return f"""---
library_name: transformers
tags: [clutch, verifiable-rewards]
---
# {meta["run"]} / {meta["checkpoint"]}

Made by `clutch run` with seed {meta["seed"]}, starting from {before}.

Trained on these datasets (hash of the whole set):

{hashes or "- none: these are the weights before training"}

Load it with `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained`. Its
evaluation stands in the run's `delta_report.md`, and the command that makes it again is
`clutch run config.yaml` on the `config.yaml` in the run's folder. It was measured on generated
problems of one family only; nothing is known of what else it does.
"""
