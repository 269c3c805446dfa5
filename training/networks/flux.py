"""The diffusion transformer of FLUX.1 (black-forest-labs/flux, model.py and modules/layers.py), same keys, small sizes."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING_WIDTH = 256
EPSILON = 1e-6


def sinusoidal_embedding(value: Tensor) -> Tensor:
    """Sigma or guidance [B] -> [B, 256]: cosines first, period 10000, time factor 1000."""
    half = EMBEDDING_WIDTH // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = 1000 * value.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rotary_tables(head: int, text: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine [text + rows * columns, head / 2]; text ids are 0, image ids (0, row, column), axes 16:56:56."""
    axes = [head // 8, head * 7 // 16, head * 7 // 16]
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    angles = []
    for ids, size in zip([torch.zeros_like(row), row, column], axes):
        frequencies = 1 / 10000 ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles.append(ids[:, None] * frequencies)
    image = torch.cat(angles, dim=1)
    joined = torch.cat([torch.zeros(text, head // 2, dtype=torch.float64), image])
    return joined.cos().float(), joined.sin().float()


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Interleaved pairs, as `apply_rope`: [B, H, L, D]"""
    cosine, sine = (table.to(x.dtype) for table in rotary)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)


def attention(q: Tensor, k: Tensor, v: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """3 x [B, H, L, D] -> [B, L, H*D]"""
    x = F.scaled_dot_product_attention(rotate(q, rotary), rotate(k, rotary), v)
    return x.transpose(1, 2).flatten(2)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return (1 + scale) * F.layer_norm(x, x.shape[-1:], eps=EPSILON) + shift


class MLPEmbedder(nn.Module):
    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.in_layer = nn.Linear(inputs, hidden)
        self.out_layer = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_layer(F.silu(self.in_layer(x)))


class RMSNorm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON) * self.scale).to(x.dtype)


class QKNorm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.query_norm = RMSNorm(size)
        self.key_norm = RMSNorm(size)


class SelfAttention(nn.Module):
    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, hidden * 3)
        self.norm = QKNorm(hidden // heads)
        self.proj = nn.Linear(hidden, hidden)

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, L, hidden] -> 3 x [B, H, L, D], queries and keys normalized"""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.norm.query_norm(q), self.norm.key_norm(k), v


class Modulation(nn.Module):
    def __init__(self, hidden: int, parts: int):
        super().__init__()
        self.parts = parts
        self.lin = nn.Linear(hidden, parts * hidden)

    def forward(self, vector: Tensor) -> tuple[Tensor, ...]:
        return self.lin(F.silu(vector))[:, None].chunk(self.parts, dim=-1)


class DoubleStreamBlock(nn.Module):
    """Image and text keep weights of their own and attend to each other."""

    def __init__(self, hidden: int, heads: int, ratio: int):
        super().__init__()
        for name in ("img", "txt"):
            self.add_module(f"{name}_mod", Modulation(hidden, 6))
            self.add_module(f"{name}_attn", SelfAttention(hidden, heads))
            mlp = nn.Sequential(nn.Linear(hidden, ratio * hidden), nn.GELU("tanh"), nn.Linear(ratio * hidden, hidden))
            self.add_module(f"{name}_mlp", mlp)

    def forward(self, image: Tensor, text: Tensor, vector: Tensor, rotary):
        image_mod, text_mod = self.img_mod(vector), self.txt_mod(vector)
        image_heads = self.img_attn.heads_of(modulated(image, image_mod[0], image_mod[1]))
        text_heads = self.txt_attn.heads_of(modulated(text, text_mod[0], text_mod[1]))
        joined = attention(*(torch.cat(pair, dim=2) for pair in zip(text_heads, image_heads)), rotary)
        text_part, image_part = joined.split([text.shape[1], image.shape[1]], dim=1)
        image = image + image_mod[2] * self.img_attn.proj(image_part)
        image = image + image_mod[5] * self.img_mlp(modulated(image, image_mod[3], image_mod[4]))
        text = text + text_mod[2] * self.txt_attn.proj(text_part)
        text = text + text_mod[5] * self.txt_mlp(modulated(text, text_mod[3], text_mod[4]))
        return image, text


class SingleStreamBlock(nn.Module):
    """Attention and MLP side by side, with one projection in and one out."""

    def __init__(self, hidden: int, heads: int, ratio: int):
        super().__init__()
        self.heads, self.hidden = heads, hidden
        self.linear1 = nn.Linear(hidden, hidden * 3 + ratio * hidden)
        self.linear2 = nn.Linear(hidden + ratio * hidden, hidden)
        self.norm = QKNorm(hidden // heads)
        self.modulation = Modulation(hidden, 3)

    def forward(self, x: Tensor, vector: Tensor, rotary) -> Tensor:
        shift, scale, gate = self.modulation(vector)
        projected = self.linear1(modulated(x, shift, scale))
        qkv, hidden = projected.split([3 * self.hidden, projected.shape[-1] - 3 * self.hidden], dim=-1)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = attention(self.norm.query_norm(q), self.norm.key_norm(k), v, rotary)
        return x + gate * self.linear2(torch.cat([attended, F.gelu(hidden, approximate="tanh")], dim=-1))


class LastLayer(nn.Module):
    def __init__(self, hidden: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(hidden, outputs)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(vector)[:, None].chunk(2, dim=-1)
        return self.linear(modulated(x, shift, scale))


class Flux(nn.Module):
    def __init__(self, hidden=256, heads=4, double=2, single=6, ratio=4, text=256, vector=128, columns=384):
        super().__init__()
        self.head = hidden // heads
        self.img_in = nn.Linear(columns, hidden)
        self.time_in = MLPEmbedder(EMBEDDING_WIDTH, hidden)
        self.guidance_in = MLPEmbedder(EMBEDDING_WIDTH, hidden)
        self.vector_in = MLPEmbedder(vector, hidden)
        self.txt_in = nn.Linear(text, hidden)
        self.double_blocks = nn.ModuleList(DoubleStreamBlock(hidden, heads, ratio) for _ in range(double))
        self.single_blocks = nn.ModuleList(SingleStreamBlock(hidden, heads, ratio) for _ in range(single))
        self.final_layer = LastLayer(hidden, 64)
        self.start()

    def start(self):
        """adaLN-zero: every block is the identity at first. Guidance stays out: its last layer is zero and not trained."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.double_blocks:
            nn.init.zeros_(block.img_mod.lin.weight)
            nn.init.zeros_(block.txt_mod.lin.weight)
        for block in self.single_blocks:
            nn.init.zeros_(block.modulation.lin.weight)
        for layer in (self.final_layer.linear, self.final_layer.adaLN_modulation[1], self.guidance_in.out_layer):
            nn.init.zeros_(layer.weight)
        self.guidance_in.requires_grad_(False)

    def forward(self, x: Tensor, rows: int, columns: int, text: Tensor, vector: Tensor, sigma: Tensor, guidance: Tensor):
        """[B, rows*columns, 384], [B, T, text], [B, vector], [B], [B] -> velocity [B, rows*columns, 64]"""
        image, text = self.img_in(x), self.txt_in(text)
        vector = self.time_in(sinusoidal_embedding(sigma)) + self.vector_in(vector)
        vector = vector + self.guidance_in(sinusoidal_embedding(guidance))
        rotary = rotary_tables(self.head, text.shape[1], rows, columns)
        for block in self.double_blocks:
            image, text = block(image, text, vector, rotary)
        stream = torch.cat([text, image], dim=1)
        for block in self.single_blocks:
            stream = block(stream, vector, rotary)
        return self.final_layer(stream[:, text.shape[1] :], vector)
