"""The encoder of T5 v1.1 (huggingface/transformers, modeling_t5.py), same keys. Padding is attended to, as FLUX does."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-6
MAX_DISTANCE = 128


def relative_buckets(length: int, buckets: int) -> Tensor:
    """Bucket of each (query, key): [L, L]; half of the buckets for keys after the query."""
    half, exact = buckets // 2, buckets // 4
    relative = torch.arange(length)[None] - torch.arange(length)[:, None]
    distance = relative.abs()
    log = torch.log(distance.clamp(min=1).float() / exact) / math.log(MAX_DISTANCE / exact)
    far = (exact + (log * (half - exact)).long()).clamp(max=half - 1)
    return (relative > 0).long() * half + torch.where(distance < exact, distance, far)


class Norm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON) * self.weight


class SelfAttention(nn.Module):
    """Not scaled by the head's size."""

    def __init__(self, width: int, heads: int, buckets: int | None):
        super().__init__()
        self.heads = heads
        for name in "qkvo":
            layer = nn.Linear(width, width, bias=False)
            nn.init.normal_(layer.weight, std=width**-0.5 * (0.35 if name in "qk" else 1))
            self.add_module(name, layer)
        if buckets:
            self.relative_attention_bias = nn.Embedding(buckets, heads)
            nn.init.normal_(self.relative_attention_bias.weight, std=0.1)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        return self.o(x.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """`layer.0` is attention, `layer.1` the gated MLP."""

    def __init__(self, width: int, heads: int, hidden: int, buckets: int | None):
        super().__init__()
        attention, mlp, gated = nn.Module(), nn.Module(), nn.Module()
        attention.SelfAttention = SelfAttention(width, heads, buckets)
        attention.layer_norm = Norm(width)
        gated.wi_0 = nn.Linear(width, hidden, bias=False)
        gated.wi_1 = nn.Linear(width, hidden, bias=False)
        gated.wo = nn.Linear(hidden, width, bias=False)
        mlp.DenseReluDense = gated
        mlp.layer_norm = Norm(width)
        self.layer = nn.ModuleList([attention, mlp])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attention, mlp = self.layer
        x = x + attention.SelfAttention(attention.layer_norm(x), bias)
        gated, y = mlp.DenseReluDense, mlp.layer_norm(x)
        return x + gated.wo(F.gelu(gated.wi_0(y), approximate="tanh") * gated.wi_1(y))


class T5Encoder(nn.Module):
    def __init__(self, vocabulary: int, width=256, layers=2, hidden=512, buckets=32):
        super().__init__()
        self.shared = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.shared.weight, std=1.0)
        heads = width // 64
        self.buckets = buckets
        self.encoder = nn.Module()
        self.encoder.block = nn.ModuleList(
            Block(width, heads, hidden, buckets if i == 0 else None) for i in range(layers)
        )
        self.encoder.final_layer_norm = Norm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """[B, L] -> [B, L, width]"""
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        bias = table(relative_buckets(ids.shape[1], self.buckets)).permute(2, 0, 1)[None]
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)
