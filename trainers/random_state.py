"""The process's random states as JSON: Python's, NumPy's, and torch's on each device. No pickle."""

import base64
import random
from typing import Any

import numpy as np
import torch


def capture_random_state() -> dict[str, Any]:
    """Return all global random states of this process as plain JSON values."""
    version, internal, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)
    return {
        "python": [version, list(internal), gauss],
        "numpy": {
            **legacy,
            "state": {"key": legacy["state"]["key"].tolist(), "pos": int(legacy["state"]["pos"])},
        },
        "torch": _encode(torch.get_rng_state()),
        "cuda": [_encode(state) for state in _cuda_states()],
    }


def restore_random_state(captured: dict[str, Any]) -> None:
    """Set all global random states of this process to captured ones.

    Raises ValueError where they were captured on another number of CUDA devices.
    """
    cuda = captured["cuda"]
    if cuda and len(cuda) != torch.cuda.device_count():
        raise ValueError(
            f"the state was saved with {len(cuda)} CUDA devices in sight, now there are "
            f"{torch.cuda.device_count()}: resume on the same devices"
        )
    version, internal, gauss = captured["python"]
    random.setstate((version, tuple(internal), gauss))
    legacy = captured["numpy"]
    key = np.array(legacy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**legacy, "state": {"key": key, "pos": legacy["state"]["pos"]}})
    torch.set_rng_state(_decode(captured["torch"]))
    if cuda:
        torch.cuda.set_rng_state_all([_decode(state) for state in cuda])


def _cuda_states() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _encode(state: torch.Tensor) -> str:
    return base64.b64encode(state.cpu().numpy().tobytes()).decode("ascii")


def _decode(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
