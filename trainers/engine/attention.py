"""Causal attention of padded prompts to themselves, by the faster exact route of the device.

On a CPU, short prompts are cheapest with plain matrix products; longer ones, and all on a GPU, take
torch's fused kernels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

PLAIN_UP_TO = 96
"""Longest prompt for which plain products beat the fused kernel on a CPU."""


def causal_attention(q_BPHC: Tensor, k_BPKC: Tensor, v_BPKC: Tensor) -> Tensor:
    """Attend causally with scaled queries [B, P, H, C]; query heads share keys in order."""
    if q_BPHC.device.type == "cpu" and q_BPHC.shape[1] <= PLAIN_UP_TO:
        return _plain(q_BPHC, k_BPKC, v_BPKC)
    q, k, v = (x.transpose(1, 2) for x in (q_BPHC, k_BPKC, v_BPKC))
    grouped = q.shape[1] != k.shape[1]
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0, enable_gqa=grouped)
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
