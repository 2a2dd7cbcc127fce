"""Hand-written gradients for the element-wise parts of a decoder block.

Left to autograd these take more time than the matrix products of a small model on a CPU: a root
mean square norm costs four times as much as here. Each function returns what the plain formula
returns, and saves for the backward pass only what that needs.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x32 = x.float()
        inverse = x32.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
        normed = x32 * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return (weight * normed).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, inverse, weight = ctx.saved_tensors
        grad32 = grad.float()
        product = grad32 * normed
        grad_weight = product.flatten(0, -2).sum(0).to(weight.dtype)
        grad_normed = grad32 * weight.float()
        share = torch.linalg.vecdot(grad_normed, normed).unsqueeze(-1).div_(-normed.shape[-1])
        grad_x = grad_normed.addcmul_(normed, share).mul_(inverse)
        return grad_x.to(grad.dtype), grad_weight, None


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


def rms_norm(module: Any, x: Tensor) -> Tensor:
    """Apply a Hugging Face RMSNorm module over the last dimension, in float32 inside."""
    return _RmsNorm.apply(x, module.weight, module.variance_epsilon)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary embedding, half-split layout: x [..., C], equal halves in cos and sin."""
    return _Rotate.apply(x, cos, sin)


def _turn(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    half = x.shape[-1] // 2
    sin_half = sin[..., :half]
    turned = x * cos
    turned[..., :half].addcmul_(x[..., half:], sin_half, value=-direction)
    turned[..., half:].addcmul_(x[..., :half], sin_half, value=direction)
    return turned
