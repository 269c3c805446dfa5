"""The autoencoder's start: the linear transform that it has to beat, written into its weights.

From random weights it learns brightness for minutes before any colour. Here it begins as a principal component analysis: the
encoder computes the 16 strongest components of 8x8 blocks, exactly; the decoder draws from them and their neighbours what
least squares can draw, level by level. Residual blocks begin as the identity. Both norms at the ends, which would undo the
contrast, are held by constants beside the signal; a signal passes the SiLU as two channels, since silu(x) - silu(-x) = x.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .networks import AttnBlock, AutoEncoder, ResnetBlock

COMPONENTS = 16
# Amplitude of the constants in front of a norm, where the signal's deviation is about 1. Larger ones hold better and train worse.
HELD = 4.0


def blocks_of(pictures: Tensor, side: int) -> Tensor:
    """[B, C, H, W] -> [P, C * side * side], channels first"""
    return F.pixel_unshuffle(pictures, side).movedim(1, -1).flatten(0, -2)


def principal(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The strongest directions of [P, D], without a mean. -> orthonormal [count, D], their variances [count]"""
    variances, directions = torch.linalg.eigh((rows.T @ rows).double() / len(rows))
    return directions[:, -count:].flip(1).T.float(), variances[-count:].flip(0).float()


def components(pictures: Tensor) -> Tensor:
    """
    The rows that take a block of pixels to the latent. pictures: [B, 3, H, W] in [-1, 1] -> [16, 192]

    A component's deviation is scaled to grow with the square root of its own: strong ones stay stronger, so that the
    transformer's squared error cares for colour and form before fine detail. The mean variance is 1.
    """
    directions, variances = principal(blocks_of(pictures, 8), COMPONENTS)
    return directions * variances[:, None] ** -0.25 / variances.sqrt().mean().sqrt()


def begin_linear(net: AutoEncoder, rows: Tensor, pictures: Tensor) -> None:
    """Sets all weights, so that the encoder computes `rows` [16, 192]. pictures: [B, 3, H, W] in [-1, 1]"""
    for module in net.modules():
        if isinstance(module, ResnetBlock):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
            if hasattr(module, "nin_shortcut"):
                clear(module.nin_shortcut)
                width = min(module.nin_shortcut.weight.shape[:2])
                module.nin_shortcut.weight.data[:width, :width, 0, 0] = torch.eye(width)
        elif isinstance(module, AttnBlock):
            clear(module.proj_out)
    begin_encoder(net, rows, pictures)
    begin_decoder(net, rows, pictures)


@torch.no_grad()
def begin_encoder(net: AutoEncoder, rows: Tensor, pictures: Tensor) -> None:
    encoder = net.encoder
    clear(encoder.conv_in)
    encoder.conv_in.weight[:3, :, 1, 1] = torch.eye(3)
    # What of a block of 1, 2, 4 pixels the level's channels hold. [channels, 3 * side * side]
    held = torch.eye(3)
    for side, level in zip((2, 4, 8), encoder.down):
        width = level.downsample.conv.weight.shape[0]
        # Of four smaller blocks, their channels by their place: what a kernel of 2x2 sees.
        joined = quarters(held, side)
        chosen = min(width, len(joined))
        seen = blocks_of(pictures, side)
        keep, _ = principal((seen @ joined.T)[:: max(1, len(seen) // 100_000)], chosen)
        clear(level.downsample.conv)
        level.downsample.conv.weight[:chosen, : len(held), :2, :2] = keep.unflatten(1, (len(held), 2, 2))
        held = keep @ joined
    in_pairs(encoder.down[-1].block[0].nin_shortcut, rows @ held.T, encoder.norm_out)
    read_pairs(encoder.conv_out, COMPONENTS, encoder.norm_out.num_groups)
    encoder.conv_out.bias[COMPONENTS:] = -6.0


def quarters(held: Tensor, side: int) -> Tensor:
    """Channels of blocks of side / 2, for each of the four in a block: [N, 3 * (side / 2) ** 2] -> [N * 4, 3 * side ** 2]"""
    half, count = side // 2, len(held)
    joined = torch.zeros(count, 2, 2, 3, side, side)
    for y in range(2):
        for x in range(2):
            joined[:, y, x, :, y * half : (y + 1) * half, x * half : (x + 1) * half] = held.unflatten(1, (3, half, half))
    return joined.flatten(0, 2).flatten(1)


@torch.no_grad()
def begin_decoder(net: AutoEncoder, rows: Tensor, pictures: Tensor) -> None:
    decoder = net.decoder
    clear(decoder.conv_in)
    decoder.conv_in.weight[:COMPONENTS, :, 1, 1] = torch.eye(COMPONENTS)
    signal = torch.einsum("kc,bchw->bkhw", rows, F.pixel_unshuffle(pictures, 8))
    for side, level in zip((4, 2, 1), reversed(decoder.up)):
        conv, wanted = level.upsample.conv, F.pixel_unshuffle(pictures, side)
        coarse = F.interpolate(signal, scale_factor=2.0, mode="nearest")
        count, outputs = coarse.shape[1], wanted.shape[1]
        # Padding at the pictures' borders is no part of the fit.
        sights = F.unfold(coarse, 3).movedim(1, -1).flatten(0, 1)
        goals = wanted[..., 1:-1, 1:-1].movedim(1, -1).flatten(0, -2)
        some = torch.randperm(len(sights))[:60_000]
        sights = torch.cat([sights[some], torch.ones(len(some), 1)], 1).double()
        ridge = 1e-4 * torch.eye(sights.shape[1], dtype=torch.float64)
        solved = torch.linalg.solve(sights.T @ sights / len(some) + ridge, sights.T @ goals[some].double() / len(some)).float()
        clear(conv)
        conv.weight[:outputs, :count] = solved[:-1].T.unflatten(1, (count, 3, 3))
        conv.bias[:outputs] = solved[-1]
        signal = F.conv2d(coarse, conv.weight[:outputs, :count], conv.bias[:outputs], padding=1)
    last = decoder.up[0].block[0].nin_shortcut
    in_pairs(last, torch.eye(3), decoder.norm_out)
    read_pairs(decoder.conv_out, 3, decoder.norm_out.num_groups)


def clear(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)


def pairs_of(count: int, groups: int, width: int) -> list[tuple[int, int]]:
    """The channels of each signal and of its negative, shared out to the groups; each group's last four are its constants."""
    size = width // groups
    each = -(-count // groups)
    places = [(n // each * size + 2 * (n % each), n // each * size + 2 * (n % each) + 1) for n in range(count)]
    if 2 * each + 4 > size:
        raise ValueError(f"{count} signals do not fit {groups} groups of {size} channels")
    return places


@torch.no_grad()
def in_pairs(conv: nn.Conv2d, signals: Tensor, norm: nn.GroupNorm) -> None:
    """A 1x1 convolution to signals, their negatives and constants; `norm` then leaves them nearly as they are. signals: [N, channels]"""
    clear(conv)
    width, groups = conv.weight.shape[0], norm.num_groups
    size = width // groups
    for row, (plus, minus) in zip(signals, pairs_of(len(signals), groups, width)):
        conv.weight[plus, : len(row), 0, 0], conv.weight[minus, : len(row), 0, 0] = row, -row
    for group in range(groups):
        constants = slice((group + 1) * size - 4, (group + 1) * size)
        conv.bias[constants] = HELD * torch.tensor([1.0, -1.0, 1.0, -1.0])
        inside = sum(2 for plus, _ in pairs_of(len(signals), groups, width) if plus // size == group)
        norm.weight[group * size : (group + 1) * size] = ((4 * HELD**2 + inside) / size) ** 0.5


@torch.no_grad()
def read_pairs(conv: nn.Conv2d, count: int, groups: int) -> None:
    """A 3x3 convolution that puts the pairs together again, after the SiLU."""
    clear(conv)
    for n, (plus, minus) in enumerate(pairs_of(count, groups, conv.weight.shape[1])):
        conv.weight[n, plus, 1, 1], conv.weight[n, minus, 1, 1] = 1.0, -1.0
