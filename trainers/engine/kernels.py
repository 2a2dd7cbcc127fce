"""Hand-written gradients for the element-wise parts of a decoder block.

Left to autograd these take more time than the matrix products of a small model on a CPU: a root
mean square norm costs four times as much as here. Each function returns what the plain formula
returns, and saves for the backward pass only what that needs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

WORST_ERROR = 1e-5
"""Largest relative error that a float32 product may show under the faster setting."""

FEW_ROWS, FEW_STEP, MANY_STEP = 256, 32, 256
"""Numbers of rows are multiples of 32 up to 256, and of 256 beyond. Each number of rows compiles
kernels of its own, which stay in memory: with more of them a worker grew by twice as much, and was
no faster. A step of decoding has few rows, which padding to 256 would multiply.
"""


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        normed, inverse = _normalize(x, eps)
        ctx.save_for_backward(normed, inverse, weight)
        ctx.dtype = x.dtype
        return (normed * weight).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        normed, inverse, weight = ctx.saved_tensors
        grad32 = grad.float()
        product = grad32 * normed
        grad_weight = product.reshape(-1, *weight.shape).sum(0).to(weight.dtype)
        grad_normed = grad32 * weight.float()
        share = torch.linalg.vecdot(grad_normed, normed).unsqueeze(-1).div_(-normed.shape[-1])
        grad_x = grad_normed.addcmul_(normed, share).mul_(inverse)
        return grad_x.to(ctx.dtype), grad_weight, None, None


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        grad_both = torch.empty_like(gate_up)
        grad_gate, grad_up = grad_both.chunk(2, dim=-1)
        torch.mul(grad, F.silu(gate), out=grad_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=grad_gate)
        return grad_both


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, sin, -1), None, None


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Normalize the last dimension in float32 and multiply by `weight`; the result is `dtype`.

    `weight` has the last dimension of `x`, or its last two: one weight for each head.
    """
    if torch.is_grad_enabled():
        return _RmsNorm.apply(x, weight, eps, dtype)
    return _normalize(x, eps)[0].mul_(weight).to(dtype)


def swiglu(gate_up: Tensor) -> Tensor:
    """Return silu(gate) * up of the joined halves [..., 2F]."""
    if torch.is_grad_enabled():
        return _SwiGlu.apply(gate_up)
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate).mul_(up)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary embedding, half-split layout: x [..., C], equal halves in cos and sin."""
    return _Rotate.apply(x, cos, sin) if torch.is_grad_enabled() else _turn(x, cos, sin, 1)


class _FastLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        with fast_products():
            return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, _ = ctx.needs_input_grad
        with fast_products():
            grad_x = grad @ weight if need_x else None
            grad_weight = grad.T @ x if need_weight else None
        return grad_x, grad_weight, grad.sum(0) if ctx.has_bias else None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a linear layer to [n, D], with the faster products where they are as exact.

    The faster products compile a kernel for each new n, which costs more than a small product and
    stays in memory: n is rounded up, so that few kernels serve all batches.
    """
    if not _fast_products_are_exact() or x.device.type != "cpu" or x.dtype != torch.float32:
        return F.linear(x, weight, bias)
    n = len(x)
    rounded = round_up(n)
    if rounded != n:
        x = F.pad(x, (0, 0, 0, rounded - n))
    y: Tensor = _FastLinear.apply(x, weight, bias)
    return y if rounded == n else y[:n]


def round_up(count: int) -> int:
    """Round a number of rows up to one of few."""
    step = FEW_STEP if count <= FEW_ROWS else MANY_STEP
    return -(-count // step) * step


@contextmanager
def fast_products() -> Iterator[None]:
    """Let oneDNN multiply float32 matrices inside: twice as fast on many CPUs."""
    torch._C._set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch._C._set_float32_matmul_precision("highest")


@cache
def _fast_products_are_exact() -> bool:
    """Whether this CPU computes the faster products in float32; some use bfloat16 inside."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    with fast_products():
        error = (a @ b).double() - exact
    return float(error.abs().max() / exact.abs().max()) < WORST_ERROR


def _normalize(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    x32 = x.float()
    squares = torch.linalg.vecdot(x32, x32).unsqueeze(-1)
    inverse = squares.div_(x.shape[-1]).add_(eps).rsqrt_()
    return x32 * inverse, inverse


def _turn(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    half = x.shape[-1] // 2
    sin_half = sin[..., :half]
    turned = x * cos
    turned[..., :half].addcmul_(x[..., half:], sin_half, value=-direction)
    turned[..., half:].addcmul_(x[..., :half], sin_half, value=direction)
    return turned
