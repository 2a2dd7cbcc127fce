"""The quickstart as it is shipped, with every number small: seconds instead of minutes."""

from pathlib import Path

from orchestrator.config import RunConfig, load_config

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"
SMALL = (
    "datasets.sat.splits.test=40",
    "datasets.sat.splits.unseen.num_problems=12",
    "datasets.sat.splits.validation=8",
    "datasets.sat.splits.warmup.num_problems=60",
    "datasets.sat.splits.train=60",
    "stages.sft.max_steps=6",
    "stages.sft.batch_size=16",
    "stages.sft.warmup_steps=2",
    "stages.sft.logging_steps=2",
    "stages.sft.eval_steps=3",
    "stages.sft.save_steps=3",
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
