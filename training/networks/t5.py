"""The T5 encoder, with the keys of Hugging Face's T5EncoderModel."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class T5Norm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        return self.weight * (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + 1e-6))


class T5SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int, head_size: int, has_bias: bool):
        super().__init__()
        self.heads, self.head_size = heads, head_size
        inner = heads * head_size
        self.q, self.k, self.v = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, width, bias=False)
        if has_bias:
            self.relative_attention_bias = nn.Embedding(32, heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (m(x).unflatten(-1, (self.heads, self.head_size)).transpose(1, 2) for m in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        return self.o(out.transpose(1, 2).flatten(2))


def relative_buckets(length: int, device: torch.device) -> Tensor:
    """T5's bidirectional buckets: 32, maximum distance 128. -> [length, length]"""
    position = torch.arange(length, device=device)[None] - torch.arange(length, device=device)[:, None]
    bucket = (position > 0).long() * 16
    distance = position.abs()
    far = 8 + (torch.log(distance.float().clamp(min=1) / 8) / math.log(128 / 8) * 8).long()
    return bucket + torch.where(distance < 8, distance, far.clamp(max=15))


class T5Block(nn.Module):
    def __init__(self, width: int, heads: int, head_size: int, feed: int, first: bool):
        super().__init__()
        attention = nn.Module()
        attention.SelfAttention = T5SelfAttention(width, heads, head_size, first)
        attention.layer_norm = T5Norm(width)
        forward = nn.Module()
        forward.DenseReluDense = nn.Module()
        forward.DenseReluDense.wi_0 = nn.Linear(width, feed, bias=False)
        forward.DenseReluDense.wi_1 = nn.Linear(width, feed, bias=False)
        forward.DenseReluDense.wo = nn.Linear(feed, width, bias=False)
        forward.layer_norm = T5Norm(width)
        self.layer = nn.ModuleList([attention, forward])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.layer[0].SelfAttention(self.layer[0].layer_norm(x), bias)
        dense, normed = self.layer[1].DenseReluDense, self.layer[1].layer_norm(x)
        return x + dense.wo(F.gelu(dense.wi_0(normed), approximate="tanh") * dense.wi_1(normed))


class T5Encoder(nn.Module):
    """[B, L] tokens -> [B, L, width]; padded, no attention mask, no attention scaling."""

    def __init__(self, vocabulary: int, width=256, heads=4, head_size=64, feed=512, blocks=2):
        super().__init__()
        self.shared = nn.Embedding(vocabulary, width)
        self.encoder = nn.Module()
        self.encoder.block = nn.ModuleList(T5Block(width, heads, head_size, feed, n == 0) for n in range(blocks))
        self.encoder.final_layer_norm = T5Norm(width)
        for module in self.modules():
            if isinstance(module, T5SelfAttention):
                nn.init.normal_(module.q.weight, std=(width * head_size) ** -0.5)
        nn.init.normal_(self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        bias = table(relative_buckets(tokens.shape[1], tokens.device)).permute(2, 0, 1)[None]
        x = self.shared(tokens)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)
