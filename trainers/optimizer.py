"""AdamW and its schedule: linear warm-up, constant, linear decay over the last part."""

import torch
from torch import nn

from trainers.config import TrainingStage


def make_optimizer(model: nn.Module, config: TrainingStage) -> torch.optim.AdamW:
    """Return AdamW over `model`; matrices are decayed, vectors are not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
    )


def learning_rate(config: TrainingStage, step: int) -> float:
    """Rate of optimizer step `step`, counted from 0."""
    rising = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    decay_steps = config.decay_fraction * config.max_steps
    decay_start = config.max_steps - decay_steps
    falling = 1.0
    if decay_steps > 0 and step > decay_start:
        falling = 1.0 - (1.0 - config.min_lr_ratio) * (step - decay_start) / decay_steps
    return config.learning_rate * rising * falling
