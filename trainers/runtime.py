"""How torch is set up in a worker: threads, matrix precision, device."""

import torch

PROBE_SIZE = 256
WORST_ERROR = 1e-5
"""Largest relative error that a float32 product may show under the faster setting."""


def prepare_torch(threads: int) -> None:
    """Cap torch to `threads` and take the faster float32 products where they are as exact.

    More threads than cores make small products many times slower. On CPUs, the "medium" setting
    lets oneDNN multiply float32 matrices; some CPUs then use bfloat16 inside, so the result of a
    product is checked first.
    """
    torch.set_num_threads(max(1, threads))
    torch.set_float32_matmul_precision("highest")
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(PROBE_SIZE, PROBE_SIZE, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    torch.set_float32_matmul_precision("medium")
    error = float(((a @ b).double() - exact).abs().max() / exact.abs().max())
    if error > WORST_ERROR:
        torch.set_float32_matmul_precision("highest")


def pick_device(use_gpu: bool) -> torch.device:
    """Return the worker's device; ValueError where a GPU is asked for and none is there."""
    if not use_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError("resources.gpus_per_worker is above 0, but torch sees no GPU: set it to 0")
    return torch.device("cuda", torch.cuda.current_device())
