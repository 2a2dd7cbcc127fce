"""Which datasets are large enough for Ray Data; neither Ray nor torch is imported to tell."""

from pathlib import Path
from typing import TypeGuard

from datagen.blocks.plan import BlockPlan, can_be_cut
from datagen.config import AbdConfig, DatasetConfig, DimacsConfig, MixConfig, PathConfig, SatConfig

LARGE = {"sat": 200_000, "abd": 50_000}
"""As many problems of a task take one process longer than it takes Ray to start."""


def num_problems(config: SatConfig | AbdConfig | MixConfig) -> dict[str, int]:
    """Return how many problems a dataset has, by task."""
    makers = BlockPlan(config, 0, Path()).makers
    return {
        task: sum(maker.num_problems(split) for split in maker.splits)
        for task, maker in makers.items()
    }


def is_large(config: DatasetConfig) -> TypeGuard[SatConfig | AbdConfig | MixConfig]:
    """Whether a dataset is made by Ray Data: of generated problems, and many of them."""
    if isinstance(config, PathConfig | DimacsConfig) or not can_be_cut(config):
        return False
    shares = [count / LARGE[task] for task, count in num_problems(config).items()]
    return sum(shares) >= 1
