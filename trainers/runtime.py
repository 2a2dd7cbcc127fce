"""How torch is set up in a worker: its threads and its device."""

import ctypes
import gc
import sys

import torch


def prepare_torch(threads: int) -> None:
    """Cap torch to `threads`: more threads than cores make small products many times slower."""
    torch.set_num_threads(max(1, threads))


def pick_device(use_gpu: bool) -> torch.device:
    """Return the worker's device; ValueError where a GPU is asked for and none is there."""
    if not use_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError("resources.gpus_per_worker is above 0, but torch sees no GPU: set it to 0")
    return torch.device("cuda", torch.cuda.current_device())


def any_device() -> torch.device:
    """Return the GPU where torch sees one, else the CPU."""
    return pick_device(torch.cuda.is_available())


def release_memory() -> None:
    """Give freed memory back to the system: the C library keeps what a stage's data left behind."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
