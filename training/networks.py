"""The four networks of ACE++ in PyTorch, small or large, with the key names of the official checkpoints.

Transformer and autoencoder: black-forest-labs/flux (`model.py`, `layers.py`, `autoencoder.py`).
Text encoders: the layouts of Hugging Face's T5EncoderModel and CLIPTextModel.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


# ---------------------------------------------------------------- transformer


def sinusoidal(t: Tensor, width: int = 256) -> Tensor:
    """Embeds values in [0, 1] (scaled by 1000): cosines first, period 10000. [B] -> [B, width]"""
    half = width // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = 1000.0 * t[:, None].float() * freqs[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rope(ids: Tensor, head_size: int) -> Tensor:
    """The turns e^(i angle) of the three axes, joined. [L, 3] -> complex [L, head_size / 2]"""
    axes = (head_size // 8, head_size * 7 // 16, head_size * 7 // 16)
    angles = []
    for axis, size in enumerate(axes):
        omega = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
        angles.append(ids[:, axis, None].float() * omega[None])
    angle = torch.cat(angles, dim=-1)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turns neighbouring pairs as complex numbers. x: [B, H, L, D] -> the same, in x's type"""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


class RMSNorm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * self.scale.to(x.dtype)


class QKNorm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.query_norm, self.key_norm = RMSNorm(size), RMSNorm(size)


class Embedder(nn.Module):
    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.in_layer, self.out_layer = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_layer(F.silu(self.in_layer(x)))


class Modulation(nn.Module):
    def __init__(self, hidden: int, count: int):
        super().__init__()
        self.count, self.lin = count, nn.Linear(hidden, count * hidden)

    def forward(self, vec: Tensor) -> tuple[Tensor, ...]:
        return self.lin(F.silu(vec))[:, None].chunk(self.count, dim=-1)


class SelfAttention(nn.Module):
    def __init__(self, hidden: int, head_size: int):
        super().__init__()
        self.head_size = head_size
        self.qkv, self.norm, self.proj = nn.Linear(hidden, 3 * hidden), QKNorm(head_size), nn.Linear(hidden, hidden)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = split_heads(self.qkv(x), self.head_size)
        return self.norm.query_norm(q), self.norm.key_norm(k), v


def split_heads(qkv: Tensor, head_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """[B, L, 3*H*D] -> 3 x [B, H, L, D]"""
    q, k, v = qkv.unflatten(-1, (3, -1, head_size)).permute(2, 0, 3, 1, 4)
    return q, k, v


def attend(q: Tensor, k: Tensor, v: Tensor, turns: Tensor) -> Tensor:
    """3 x [B, H, L, D] -> [B, L, H*D]"""
    q, k = rotate(q, turns).to(v.dtype) * q.shape[-1] ** -0.5, rotate(k, turns).to(v.dtype)
    # Written out: at a few hundred tokens the CPU's fused kernel takes three times as long on the way back.
    weights = (q @ k.transpose(-1, -2)).softmax(dim=-1).to(v.dtype)
    return (weights @ v).transpose(1, 2).flatten(2)


def mlp(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(approximate="tanh"), nn.Linear(4 * hidden, hidden))


class DoubleBlock(nn.Module):
    def __init__(self, hidden: int, head_size: int):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False, eps=1e-6)
        self.img_mod, self.txt_mod = Modulation(hidden, 6), Modulation(hidden, 6)
        self.img_attn, self.txt_attn = SelfAttention(hidden, head_size), SelfAttention(hidden, head_size)
        self.img_mlp, self.txt_mlp = mlp(hidden), mlp(hidden)

    def forward(self, img: Tensor, txt: Tensor, vec: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        i_shift1, i_scale1, i_gate1, i_shift2, i_scale2, i_gate2 = self.img_mod(vec)
        t_shift1, t_scale1, t_gate1, t_shift2, t_scale2, t_gate2 = self.txt_mod(vec)
        iq, ik, iv = self.img_attn.heads((1 + i_scale1) * self.norm(img) + i_shift1)
        tq, tk, tv = self.txt_attn.heads((1 + t_scale1) * self.norm(txt) + t_shift1)
        joined = attend(torch.cat([tq, iq], 2), torch.cat([tk, ik], 2), torch.cat([tv, iv], 2), turns)
        t_out, i_out = joined.split([txt.shape[1], img.shape[1]], dim=1)
        img = img + i_gate1 * self.img_attn.proj(i_out)
        img = img + i_gate2 * self.img_mlp((1 + i_scale2) * self.norm(img) + i_shift2)
        txt = txt + t_gate1 * self.txt_attn.proj(t_out)
        txt = txt + t_gate2 * self.txt_mlp((1 + t_scale2) * self.norm(txt) + t_shift2)
        return img, txt


class SingleBlock(nn.Module):
    def __init__(self, hidden: int, head_size: int):
        super().__init__()
        self.hidden, self.head_size = hidden, head_size
        self.pre_norm = nn.LayerNorm(hidden, elementwise_affine=False, eps=1e-6)
        self.modulation = Modulation(hidden, 3)
        self.linear1, self.linear2 = nn.Linear(hidden, 7 * hidden), nn.Linear(5 * hidden, hidden)
        self.norm = QKNorm(head_size)

    def forward(self, x: Tensor, vec: Tensor, turns: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(vec)
        qkv, up = self.linear1((1 + scale) * self.pre_norm(x) + shift).split([3 * self.hidden, 4 * self.hidden], dim=-1)
        q, k, v = split_heads(qkv, self.head_size)
        out = attend(self.norm.query_norm(q), self.norm.key_norm(k), v, turns)
        return x + gate * self.linear2(torch.cat([out, F.gelu(up, approximate="tanh")], dim=-1))


class FinalLayer(nn.Module):
    def __init__(self, hidden: int, outputs: int):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(hidden, outputs)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))

    def forward(self, x: Tensor, vec: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(vec)[:, None].chunk(2, dim=-1)
        return self.linear((1 + scale) * self.norm(x) + shift)


class Flux(nn.Module):
    """The transformer: packed noise and condition in, velocity out."""

    def __init__(self, hidden=256, head_size=64, double=3, single=6, columns=384, text=256, vector=128):
        super().__init__()
        self.head_size = head_size
        self.img_in, self.txt_in = nn.Linear(columns, hidden), nn.Linear(text, hidden)
        self.time_in, self.guidance_in = Embedder(256, hidden), Embedder(256, hidden)
        self.vector_in = Embedder(vector, hidden)
        self.double_blocks = nn.ModuleList(DoubleBlock(hidden, head_size) for _ in range(double))
        self.single_blocks = nn.ModuleList(SingleBlock(hidden, head_size) for _ in range(single))
        self.final_layer = FinalLayer(hidden, 64)
        self.apply(self._init)
        for module in self.modules():
            if isinstance(module, Modulation):
                nn.init.zeros_(module.lin.weight)
                nn.init.zeros_(module.lin.bias)
        nn.init.zeros_(self.final_layer.linear.weight)
        nn.init.zeros_(self.final_layer.linear.bias)

    @staticmethod
    def _init(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, img: Tensor, grid: tuple[int, int], txt: Tensor, vec: Tensor, sigma: Tensor, guidance: Tensor):
        """img: [B, rows*columns, 384], txt: [B, L, text], vec: [B, vector], sigma, guidance: [B] -> [B, rows*columns, 64]"""
        rows, columns = grid
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        image_ids = torch.stack([torch.zeros(rows * columns), row.flatten(), column.flatten()], dim=-1)
        turns = rope(torch.cat([torch.zeros(txt.shape[1], 3), image_ids]), self.head_size)
        vec = self.time_in(sinusoidal(sigma)) + self.guidance_in(sinusoidal(guidance)) + self.vector_in(vec)
        img, txt = self.img_in(img), self.txt_in(txt)
        for block in self.double_blocks:
            img, txt = block(img, txt, vec, turns)
        x = torch.cat([txt, img], dim=1)
        for block in self.single_blocks:
            x = block(x, vec, turns)
        return self.final_layer(x[:, txt.shape[1] :], vec)


# -------------------------------------------------------------- text encoders


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


def relative_buckets(length: int) -> Tensor:
    """T5's bidirectional buckets: 32, maximum distance 128. -> [length, length]"""
    position = torch.arange(length)[None] - torch.arange(length)[:, None]
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
        bias = table(relative_buckets(tokens.shape[1])).permute(2, 0, 1)[None]
        x = self.shared(tokens)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)


class ClipLayer(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.self_attn = nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, name, nn.Linear(width, width))
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y, attn = self.layer_norm1(x), self.self_attn
        q, k, v = (m(y).unflatten(-1, (-1, 64)).transpose(1, 2) for m in (attn.q_proj, attn.k_proj, attn.v_proj))
        x = x + attn.out_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        up = self.mlp.fc1(self.layer_norm2(x))
        return x + self.mlp.fc2(up * torch.sigmoid(1.702 * up))


class ClipText(nn.Module):
    """[B, L] tokens -> [B, width], taken at the first end-of-text token."""

    def __init__(self, vocabulary: int, end_of_text: int, width=128, layers=1, length=77):
        super().__init__()
        self.end_of_text = end_of_text
        self.text_model = nn.Module()
        self.text_model.embeddings = nn.Module()
        self.text_model.embeddings.token_embedding = nn.Embedding(vocabulary, width)
        self.text_model.embeddings.position_embedding = nn.Embedding(length, width)
        self.text_model.encoder = nn.Module()
        self.text_model.encoder.layers = nn.ModuleList(ClipLayer(width) for _ in range(layers))
        self.text_model.final_layer_norm = nn.LayerNorm(width)
        nn.init.normal_(self.text_model.embeddings.token_embedding.weight, std=0.5)
        nn.init.normal_(self.text_model.embeddings.position_embedding.weight, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        embeddings = self.text_model.embeddings
        x = embeddings.token_embedding(tokens) + embeddings.position_embedding.weight[: tokens.shape[1]]
        for layer in self.text_model.encoder.layers:
            x = layer(x)
        x = self.text_model.final_layer_norm(x)
        return x[torch.arange(len(x)), (tokens == self.end_of_text).int().argmax(-1)]


# ---------------------------------------------------------------- autoencoder


class ResnetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, inputs, eps=1e-6), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(groups, outputs, eps=1e-6), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (m(h).flatten(2).transpose(1, 2)[:, None] for m in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.proj_out(out)


def middle(channels: int, groups: int) -> nn.Module:
    mid = nn.Module()
    mid.block_1, mid.block_2 = ResnetBlock(channels, channels, groups), ResnetBlock(channels, channels, groups)
    mid.attn_1 = AttnBlock(channels, groups)
    return mid


class Encoder(nn.Module):
    def __init__(self, widths: list[int], blocks: int, groups: int, latent: int):
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        width = widths[0]
        for n, outputs in enumerate(widths):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(blocks):
                level.block.append(ResnetBlock(width, outputs, groups))
                width = outputs
            if n < len(widths) - 1:
                level.downsample = nn.Module()
                level.downsample.conv = nn.Conv2d(width, width, 3, stride=2)
            self.down.append(level)
        self.mid = middle(width, groups)
        self.norm_out, self.conv_out = nn.GroupNorm(groups, width, eps=1e-6), nn.Conv2d(width, 2 * latent, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                x = block(x)
            if hasattr(level, "downsample"):
                x = level.downsample.conv(F.pad(x, (0, 1, 0, 1)))
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x)))
        return self.conv_out(F.silu(self.norm_out(x)))


class Decoder(nn.Module):
    def __init__(self, widths: list[int], blocks: int, groups: int, latent: int):
        super().__init__()
        width = widths[-1]
        self.conv_in = nn.Conv2d(latent, width, 3, padding=1)
        self.mid = middle(width, groups)
        levels = []
        for n, outputs in reversed(list(enumerate(widths))):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(blocks + 1):
                level.block.append(ResnetBlock(width, outputs, groups))
                width = outputs
            if n > 0:
                level.upsample = nn.Module()
                level.upsample.conv = nn.Conv2d(width, width, 3, padding=1)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = nn.GroupNorm(groups, width, eps=1e-6), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(self.conv_in(z))))
        for level in reversed(self.up):
            for block in level.block:
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(x)))


class AutoEncoder(nn.Module):
    """Image [B, 3, H, W] in [-1, 1] <-> latent [B, 16, H/8, W/8]."""

    def __init__(self, widths=(32, 32, 64, 128), blocks=1, groups=8, latent=16):
        super().__init__()
        self.encoder = Encoder(list(widths), blocks, groups, latent)
        self.decoder = Decoder(list(widths), blocks, groups, latent)
        self.register_buffer("shift_factor", torch.tensor(0.0), persistent=True)
        self.register_buffer("scale_factor", torch.tensor(1.0), persistent=True)

    def encode(self, image: Tensor) -> Tensor:
        mean = self.encoder(image).chunk(2, dim=1)[0]
        return (mean.float() - self.shift_factor) * self.scale_factor

    def decode(self, latent: Tensor) -> Tensor:
        return self.decoder(latent / self.scale_factor + self.shift_factor)
