"""The autoencoder of FLUX.1 (black-forest-labs/flux, modules/autoencoder.py), same keys: factor 8, 16 channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8
"""32 officially; in so narrow a net that would leave one or two channels in a group."""
LATENT = 16


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class AttnBlock(nn.Module):
    """One head over all pixels."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = norm(channels)
        for name in ("q", "k", "v", "proj_out"):
            self.add_module(name, nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        return x + self.proj_out(attended.reshape(x.shape))


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def middle(channels: int) -> nn.Module:
    mid = nn.Module()
    mid.block_1 = ResnetBlock(channels, channels)
    mid.attn_1 = AttnBlock(channels)
    mid.block_2 = ResnetBlock(channels, channels)
    return mid


def through_middle(mid: nn.Module, x: Tensor) -> Tensor:
    return mid.block_2(mid.attn_1(mid.block_1(x)))


class Encoder(nn.Module):
    def __init__(self, channels: int, multiples: tuple[int, ...], blocks: int):
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList()
        width = channels
        for i, multiple in enumerate(multiples):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(blocks):
                level.block.append(ResnetBlock(width, channels * multiple))
                width = channels * multiple
            if i + 1 < len(multiples):
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = middle(width)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, 2 * LATENT, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> mean and log variance [B, 32, H/8, W/8]"""
        x = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                x = block(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        return self.conv_out(F.silu(self.norm_out(through_middle(self.mid, x))))


class Decoder(nn.Module):
    def __init__(self, channels: int, multiples: tuple[int, ...], blocks: int):
        super().__init__()
        width = channels * multiples[-1]
        self.conv_in = nn.Conv2d(LATENT, width, 3, padding=1)
        self.mid = middle(width)
        levels = []
        for i, multiple in reversed(list(enumerate(multiples))):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(blocks + 1):
                level.block.append(ResnetBlock(width, channels * multiple))
                width = channels * multiple
            if i > 0:
                level.upsample = Upsample(width)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """[B, 16, h, w] -> [B, 3, 8h, 8w]"""
        x = through_middle(self.mid, self.conv_in(z))
        for level in reversed(self.up):
            for block in level.block:
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """`shift` and `scale` are measured after training, so that latents have mean 0 and deviation 1."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder(16, (1, 2, 4, 8), 1)
        self.decoder = Decoder(32, (1, 1, 2, 4), 1)
        self.register_buffer("shift", torch.tensor(0.0), persistent=True)
        self.register_buffer("scale", torch.tensor(1.0), persistent=True)

    def encode(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> posterior mean, shifted and scaled [B, 16, H/8, W/8]"""
        mean, _ = self.encoder(image).float().chunk(2, dim=1)
        return (mean - self.shift) * self.scale

    def decode(self, latent: Tensor) -> Tensor:
        return self.decoder(latent / self.scale + self.shift)
