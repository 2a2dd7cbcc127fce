"""Causal attention of padded prompts to themselves, by the fastest exact route of the device.

On a CPU, short prompts are cheapest with plain matrix products. Longer ones take torch's flash
kernel, which must not see the reduced matrix precision setting: under it the kernel is several
times slower (measured with torch 2.13 on AVX-512), so it is switched off around both passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

PLAIN_UP_TO = 320
"""Longest prompt for which plain products beat the flash kernel on a CPU."""


def causal_attention(q_BPHC: Tensor, k_BPKC: Tensor, v_BPKC: Tensor) -> Tensor:
    """Attend causally with scaled queries [B, P, H, C]; query heads share keys in order."""
    heads_per_kv = q_BPHC.shape[2] // k_BPKC.shape[2]
    if q_BPHC.device.type == "cpu" and q_BPHC.shape[1] <= PLAIN_UP_TO:
        return _plain(q_BPHC, k_BPKC, v_BPKC)
    q, k, v = (x.transpose(1, 2) for x in (q_BPHC, k_BPKC, v_BPKC))
    if q.device.type == "cpu":
        k, v = (x.repeat_interleave(heads_per_kv, 1) for x in (k, v))
        out: Tensor = _CpuFlash.apply(q, k, v)
    else:
        out = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=1.0, enable_gqa=heads_per_kv > 1
        )
    return out.transpose(1, 2)


def _plain(q_BPHC: Tensor, k_BPKC: Tensor, v_BPKC: Tensor) -> Tensor:
    b, p, h, _ = q_BPHC.shape
    kv = k_BPKC.shape[2]
    g = h // kv
    q_BKPgC = q_BPHC.unflatten(2, (kv, g)).permute(0, 2, 1, 3, 4)
    scores = q_BKPgC.reshape(b, kv, p * g, -1) @ k_BPKC.permute(0, 2, 3, 1)
    future_PP = torch.full((p, p), torch.finfo(scores.dtype).min, dtype=scores.dtype).triu_(1)
    scores = scores.view(b, kv, p, g, p) + future_PP[:, None]
    weights = scores.softmax(-1, dtype=torch.float32).to(v_BPKC.dtype).view(b, kv, p * g, p)
    out = weights @ v_BPKC.transpose(1, 2)
    return out.view(b, kv, p, g, -1).permute(0, 2, 1, 3, 4).reshape(b, p, h, -1)


@contextmanager
def _full_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _CpuFlash(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with _full_precision():
            out, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                q, k, v, 0.0, True, scale=1.0
            )
        ctx.save_for_backward(q, k, v, out, log_sum)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, out, log_sum = ctx.saved_tensors
        with _full_precision():
            grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grad, q, k, v, out, log_sum, 0.0, True, scale=1.0
            )
        return tuple(grads)
