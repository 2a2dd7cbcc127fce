"""Model and optimizer as one flat dict of named tensors, and back, exactly."""

from typing import Any

import torch
from torch import nn

from trainers.optimizer import TrainedWeights

MODEL = "model."
OPTIMIZER = "optimizer."


def training_tensors(
    model: nn.Module, weights: TrainedWeights, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Return the model's state dict, with masters for what is rounded in the model, and each
    weight's optimizer state (AdamW: exp_avg, exp_avg_sq, step), named `model.<name>` and
    `optimizer.<weight>:<key>`.

    The tensors are the live ones, not copies. Hyperparameters are not in it: the config holds
    them, and the schedule sets the rate of each step.
    """
    tensors: dict[str, torch.Tensor] = model.state_dict() | weights.masters
    tensors = {f"{MODEL}{name}": tensor for name, tensor in tensors.items()}
    names: dict[torch.Tensor, str] = {weight: name for name, weight in weights.by_name.items()}
    for weight, state in optimizer.state.items():
        for key, value in state.items():
            if not isinstance(value, torch.Tensor):
                raise TypeError(f"optimizer state {key!r} is not a tensor but {type(value)}")
            tensors[f"{OPTIMIZER}{names[weight]}:{key}"] = value
    return tensors


def restore_training_tensors(
    model: nn.Module, weights: TrainedWeights, optimizer: torch.optim.Optimizer,
    tensors: dict[str, torch.Tensor],
) -> None:  # fmt: skip
    """Put saved tensors back in place, on the parameters' devices.

    Raises ValueError where names or shapes are not those of this model.
    """
    saved = {name[len(MODEL) :]: t for name, t in tensors.items() if name.startswith(MODEL)}
    try:
        model.load_state_dict(saved, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise ValueError(f"the saved state is not of this model: {detail}") from None
    with torch.no_grad():
        for name, master in weights.masters.items():
            master.copy_(saved[name])
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    optimizer.state.clear()
    for full_name, tensor in tensors.items():
        if not full_name.startswith(OPTIMIZER):
            continue
        name, _, key = full_name[len(OPTIMIZER) :].rpartition(":")
        weight = weights.by_name.get(name)
        if weight is None or id(weight) not in groups:
            raise ValueError(f"the saved state has optimizer state of {name!r}, the model not")
        device = _device_of(key, weight, groups[id(weight)])
        optimizer.state[weight][key] = tensor.to(device, copy=True)


def _device_of(key: str, weight: nn.Parameter, group: dict[str, Any]) -> torch.device:
    """Steps are counted on the CPU, except by the fused and the capturable optimizers."""
    on_device = key != "step" or group.get("fused") or group.get("capturable")
    return weight.device if on_device else torch.device("cpu")
