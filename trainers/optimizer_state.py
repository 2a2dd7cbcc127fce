"""Model and optimizer as one flat dict of named tensors, and back, exactly."""

from typing import Any

import torch
from torch import nn

MODEL = "model."
OPTIMIZER = "optimizer."


def training_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the model's state dict and each parameter's optimizer state (AdamW: exp_avg,
    exp_avg_sq, step), named `model.<name>` and `optimizer.<parameter>:<key>`.

    The tensors are the live ones, not copies. Hyperparameters are not in it: the config holds
    them, and the schedule sets the rate of each step.
    """
    tensors = {f"{MODEL}{name}": tensor for name, tensor in model.state_dict().items()}
    names: dict[torch.Tensor, str] = {
        parameter: name for name, parameter in model.named_parameters()
    }
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if not isinstance(value, torch.Tensor):
                raise TypeError(f"optimizer state {key!r} is not a tensor but {type(value)}")
            tensors[f"{OPTIMIZER}{names[parameter]}:{key}"] = value
    return tensors


def restore_training_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    """Put saved tensors back in place, on the parameters' devices.

    Raises ValueError where names or shapes are not those of this model.
    """
    weights = {name[len(MODEL) :]: t for name, t in tensors.items() if name.startswith(MODEL)}
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise ValueError(f"the saved state is not of this model: {detail}") from None
    parameters = dict(model.named_parameters())
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    optimizer.state.clear()
    for full_name, tensor in tensors.items():
        if not full_name.startswith(OPTIMIZER):
            continue
        name, _, key = full_name[len(OPTIMIZER) :].rpartition(":")
        parameter = parameters.get(name)
        if parameter is None or id(parameter) not in groups:
            raise ValueError(f"the saved state has optimizer state of {name!r}, the model not")
        device = _device_of(key, parameter, groups[id(parameter)])
        optimizer.state[parameter][key] = tensor.to(device, copy=True)


def _device_of(key: str, parameter: nn.Parameter, group: dict[str, Any]) -> torch.device:
    """Steps are counted on the CPU, except by the fused and the capturable optimizers."""
    on_device = key != "step" or group.get("fused") or group.get("capturable")
    return parameter.device if on_device else torch.device("cpu")
