"""What decoding remembers: each prompt's keys once a group, each row's own in a growing buffer.

Shapes: B groups, R rows a group, P longest prompt, L places for own tokens, K key and value heads,
g query heads for each, C head width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

GROW = 32
"""Places that a row's buffer grows by: a product over a whole buffer is faster than over a part."""


@dataclass
class LayerCache:
    """Keys and values of one layer."""

    prompt_k_BKCP: Tensor
    prompt_v_BKPC: Tensor
    own_k_BKRLC: Tensor
    own_v_BKRLC: Tensor


def layer_cache(k_BPKC: Tensor, v_BPKC: Tensor, rows: int) -> LayerCache:
    """Keep a prompt's keys and values, with no place yet for what its rows will say."""
    b, _, kv, c = k_BPKC.shape
    return LayerCache(
        prompt_k_BKCP=k_BPKC.permute(0, 2, 3, 1).contiguous(),
        prompt_v_BKPC=v_BPKC.transpose(1, 2).contiguous(),
        own_k_BKRLC=k_BPKC.new_empty(b, kv, rows, 0, c),
        own_v_BKRLC=k_BPKC.new_empty(b, kv, rows, 0, c),
    )


class Cache:
    """The caches of all layers, and what hides their empty places."""

    def __init__(self, layers: list[LayerCache], lengths_B: Tensor) -> None:
        self.layers, self.lengths_B = layers, lengths_B
        k = layers[0].prompt_k_BKCP
        self.width = k.shape[-1]
        self.lowest = torch.finfo(k.dtype).min
        beyond = torch.arange(self.width, device=k.device) >= lengths_B[:, None]
        hide = torch.zeros(beyond.shape, dtype=k.dtype, device=k.device)
        self.hide_B111S = hide.masked_fill_(beyond, self.lowest)[:, None, None, None]
        """Added to scores over [prompt | own places]."""

    def make_room(self, position: int) -> None:
        """Have a place for each row's token at `position`, and let it be seen."""
        if position % GROW == 0:
            for layer in self.layers:
                layer.own_k_BKRLC = _grown(layer.own_k_BKRLC)
                layer.own_v_BKRLC = _grown(layer.own_v_BKRLC)
            shape = (*self.hide_B111S.shape[:-1], GROW)
            hidden = self.hide_B111S.new_full(shape, self.lowest)
            self.hide_B111S = torch.cat((self.hide_B111S, hidden), -1)
        self.hide_B111S[..., self.width + position] = 0

    def attend(self, layer: LayerCache, q: Tensor, k: Tensor, v: Tensor, position: int) -> Tensor:
        """Remember k and v [n, K, C] of one token a row, and attend with scaled q: [n, H*C]."""
        b, kv, r, length, c = layer.own_k_BKRLC.shape
        layer.own_k_BKRLC[:, :, :, position] = k.unflatten(0, (b, r)).transpose(1, 2)
        layer.own_v_BKRLC[:, :, :, position] = v.unflatten(0, (b, r)).transpose(1, 2)
        q_BKRgC = q.view(b, r, kv, -1, c).transpose(1, 2).contiguous()
        g = q_BKRgC.shape[3]
        to_prompt = q_BKRgC.view(b, kv, r * g, c) @ layer.prompt_k_BKCP
        to_own = q_BKRgC @ layer.own_k_BKRLC.transpose(-1, -2)
        scores = torch.cat((to_prompt.view(b, kv, r, g, self.width), to_own), dim=-1)
        scores += self.hide_B111S
        weights = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
        on_prompt, on_own = weights.split((self.width, length), dim=-1)
        out = on_prompt.reshape(b, kv, r * g, self.width) @ layer.prompt_v_BKPC
        out = out.view(b, kv, r, g, c) + on_own @ layer.own_v_BKRLC
        return out.transpose(1, 2).reshape(b * r, -1)

    def keep(self, groups: Tensor, order_BR: Tensor) -> None:
        """Keep, of `groups`, the rows in `order_BR`."""
        index = order_BR[:, None, :, None, None]
        for layer in self.layers:
            layer.prompt_k_BKCP = layer.prompt_k_BKCP[groups]
            layer.prompt_v_BKPC = layer.prompt_v_BKPC[groups]
            for name in ("own_k_BKRLC", "own_v_BKRLC"):
                own = getattr(layer, name)[groups]
                places = index.expand(-1, own.shape[1], -1, *own.shape[3:])
                setattr(layer, name, own.gather(2, places))
        self.lengths_B, self.hide_B111S = self.lengths_B[groups], self.hide_B111S[groups]


def _grown(own_BKRLC: Tensor) -> Tensor:
    b, kv, r, _, c = own_BKRLC.shape
    # Zeros, because a hidden place is multiplied by 0, which must not meet infinity or NaN.
    return torch.cat((own_BKRLC, own_BKRLC.new_zeros(b, kv, r, GROW, c)), dim=3)
