"""The VAE of FLUX.1, small or large: black-forest-labs/flux, `modules/autoencoder.py`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    """
    Image [B, 3, H, W] in [-1, 1] <-> latent [B, 16, H/8, W/8].

    The widths are FLUX.1's `ch` 16 and `ch_mult` (1, 2, 4, 10). At full resolution channels cost the most and help the least,
    so they are few there; each level is just wide enough to carry the pixels of a block through the downsampling.
    """

    def __init__(self, widths=(16, 32, 64, 160), blocks=1, groups=2, latent=16):
        super().__init__()
        self.groups = groups
        self.encoder = Encoder(list(widths), blocks, groups, latent)
        self.decoder = Decoder(list(widths), blocks, groups, latent)
        self.register_buffer("shift_factor", torch.tensor(0.0), persistent=True)
        self.register_buffer("scale_factor", torch.tensor(1.0), persistent=True)

    @staticmethod
    def like(state: dict[str, Tensor], groups: int) -> "AutoEncoder":
        """One with the widths and depth of these tensors, which are not loaded yet. groups: `norm_groups` of the file"""
        levels = {int(key.split(".")[2]) for key in state if key.startswith("encoder.down.")}
        widths = [state[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] for level in sorted(levels)]
        blocks = len({key.split(".")[4] for key in state if key.startswith("encoder.down.0.block.")})
        return AutoEncoder(widths, blocks, groups, state["decoder.conv_in.weight"].shape[1])

    def encode(self, image: Tensor) -> Tensor:
        mean = self.encoder(image).chunk(2, dim=1)[0]
        return (mean.float() - self.shift_factor) * self.scale_factor

    def decode(self, latent: Tensor) -> Tensor:
        return self.decoder(latent / self.scale_factor + self.shift_factor)
