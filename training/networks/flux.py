"""The transformer of FLUX.1, small or large: black-forest-labs/flux, `model.py` and `modules/layers.py`."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoidal(t: Tensor, width: int = 256) -> Tensor:
    """Embeds values in [0, 1] (scaled by 1000): cosines first, period 10000. [B] -> [B, width]"""
    half = width // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = 1000.0 * t[:, None].float() * freqs[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rope(ids: Tensor, head_size: int) -> Tensor:
    """The turns e^(i angle) of the three axes, joined. [L, 3] -> complex [L, head_size / 2]"""
    axes = (head_size // 8, head_size * 7 // 16, head_size * 7 // 16)
    angles = []
    for axis, size in enumerate(axes):
        omega = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float32, device=ids.device) / size)
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
        axes = [torch.arange(size, device=img.device) for size in (1, rows, columns)]
        image_ids = torch.cartesian_prod(*axes).float()
        turns = rope(torch.cat([image_ids.new_zeros(txt.shape[1], 3), image_ids]), self.head_size)
        vec = self.time_in(sinusoidal(sigma)) + self.guidance_in(sinusoidal(guidance)) + self.vector_in(vec)
        img, txt = self.img_in(img), self.txt_in(txt)
        for block in self.double_blocks:
            img, txt = block(img, txt, vec, turns)
        x = torch.cat([txt, img], dim=1)
        for block in self.single_blocks:
            x = block(x, vec, turns)
        return self.final_layer(x[:, txt.shape[1] :], vec)
