"""The quickstart as it is shipped, with every number small: seconds instead of minutes.

Its problems are so easy that some are solved after 30 steps, so that GRPO has something to learn.
"""

from pathlib import Path

from orchestrator.config import RunConfig, load_config

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"
SMALL = (
    "model.hidden_size=32",
    "model.num_hidden_layers=2",
    "datasets.sat.sizes=[{n: 3, m: 4}, {n: 3, m: 5}]",
    "datasets.sat.splits.unseen={num_problems: 12, sizes: [{n: 3, m: 6}]}",
    "datasets.sat.splits.test=40",
    "datasets.sat.splits.validation=8",
    "datasets.sat.splits.warmup.num_problems=100",
    "datasets.sat.splits.warmup.demonstrations.walk_fraction=0.2",
    "datasets.sat.splits.train=60",
    "stages.sft.max_steps=30",
    "stages.sft.batch_size=32",
    "stages.sft.learning_rate=1e-2",
    "stages.sft.warmup_steps=2",
    "stages.sft.logging_steps=10",
    "stages.sft.eval_steps=15",
    "stages.sft.save_steps=10",
    "stages.grpo.max_steps=6",
    "stages.grpo.generation_batch_size=32",
    "stages.grpo.warmup_steps=2",
    "stages.grpo.logging_steps=2",
    "stages.grpo.eval_steps=3",
    "stages.grpo.save_steps=2",
    "evaluation.num_samples=4",
)


def small_overrides(storage: Path, *more: str) -> list[str]:
    """What to set on top of the quickstart to have it small, in `storage`."""
    return [*SMALL, f"storage={storage}", *more]


def small_quickstart(storage: Path, *more: str) -> RunConfig:
    """The small quickstart's config."""
    return load_config(QUICKSTART, overrides=small_overrides(storage, *more)).config
