"""AdamW in float32 and its schedule: linear warm-up, constant, linear decay over the last part."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from trainers.config import TrainingStage


class TrainedWeights:
    """What the optimizer changes: the model's trained parameters, all of them in float32.

    A parameter that the model keeps in a smaller type has a float32 master here, since an update
    at a usual rate is less than bfloat16 can add to a weight. Its gradients are added up in the
    master; the model holds the master rounded.
    """

    def __init__(self, model: nn.Module) -> None:
        self.by_name: dict[str, nn.Parameter] = {}
        self.masters: dict[str, nn.Parameter] = {}
        self._rounded: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            self.by_name[name] = parameter
            if parameter.dtype in (torch.bfloat16, torch.float16):
                master = nn.Parameter(parameter.detach().float())
                self.by_name[name] = self.masters[name] = master
                self._rounded.append(parameter)
                parameter.register_post_accumulate_grad_hook(_adder(master))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The float32 parameters and masters, in the model's order."""
        return list(self.by_name.values())

    @torch.no_grad()
    def write_back(self) -> None:
        """Give the model its masters, rounded to the type of its parameters."""
        for parameter, master in zip(self._rounded, self.masters.values(), strict=True):
            parameter.copy_(master)


def _adder(master: nn.Parameter) -> Callable[[torch.Tensor], None]:
    """Return a hook that moves a parameter's new gradient into the sum of its master."""

    def add(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        if master.grad is None:
            master.grad = parameter.grad.float()
        else:
            master.grad += parameter.grad
        parameter.grad = None

    return add


def make_optimizer(parameters: Iterable[nn.Parameter], config: TrainingStage) -> torch.optim.AdamW:
    """Return AdamW over `parameters`; matrices are decayed, vectors are not."""
    parameters = list(parameters)
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
