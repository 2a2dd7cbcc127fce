"""Hand-written gradients for the element-wise parts of a decoder block.

Left to autograd these take more time than the matrix products of a small model on a CPU: a root
mean square norm costs four times as much as here. Each function returns what the plain formula
returns, and saves for the backward pass only what that needs.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


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
