"""Trains the autoencoder on drawn scenes and textures.

A joint start from random weights learns brightness for minutes before any colour. So the latent is given first: the 16
strongest principal components of 8x8 blocks of RGB pixels. The encoder learns to compute them while the decoder learns
to draw from them; then both go on together, end to end.
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import scenes
from .networks import AutoEncoder

SIZE, CROP = 128, 64
LATENT_NOISE = 0.08  # standard deviation added before decoding, so that a slightly wrong latent still decodes well


def picture(seed: int) -> np.ndarray:
    """One training picture, uint8 [SIZE, SIZE, 3]: four scenes for every texture."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.2:
        canvas = scenes.texture(rng, SIZE, SIZE)
    else:
        canvas = scenes.background(rng, SIZE, SIZE)
        for _ in range(rng.integers(0, 5)):
            canvas = scenes.paint(canvas, scenes.thing(rng, 1.0), shadow=rng.random() < 0.8)
        if rng.random() < 0.25:  # what a masked edit image looks like: grey holes with hard edges, partly or wholly
            hole = scenes.brush_mask(rng, scenes.thing(rng, 1.0), SIZE, SIZE)[..., None]
            canvas = canvas + (0.5 - canvas) * hole * rng.choice([0.5, 1.0])
    return (canvas * 255 + 0.5).astype(np.uint8)


def principal_components(data: Tensor) -> Tensor:
    """Kernels of a stride-8 convolution from pixels in [-1, 1] to the latent. data: uint8 [N, 3, H, W] -> [16, 3, 8, 8]

    Scaled to a standard deviation that grows with the square root of the component's own: strong ones stay stronger,
    so that the transformer's squared error cares for colour and form before fine detail.
    """
    blocks = F.unfold(data[:1500, :, :64, :64].float() / 127.5 - 1, 8, stride=8).transpose(1, 2).flatten(0, 1)
    variances, components = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    variances, components = variances[-16:].flip(0), components[:, -16:].flip(1).T
    kernels = components * variances[:, None] ** -0.25
    return (kernels / variances.sqrt().mean().sqrt()).unflatten(1, (3, 8, 8))


# Luminance and two colour differences, stronger than in RGB: plain RGB losses leave colour for last.
OPPONENT = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])


def losses(out: Tensor, target: Tensor) -> Tensor:
    """L1 and squared error at three scales, and L1 of the gradients, in opponent colours."""
    out, target = (torch.einsum("oc,bchw->bohw", OPPONENT, x) for x in (out, target))
    loss = F.l1_loss(out, target) + F.mse_loss(out, target)
    for factor in (2, 8):
        small, wanted = F.avg_pool2d(out, factor), F.avg_pool2d(target, factor)
        loss = loss + 0.5 * F.l1_loss(small, wanted) + 0.5 * F.mse_loss(small, wanted)
    for axis in (2, 3):
        loss = loss + 0.5 * F.l1_loss(out.diff(dim=axis), target.diff(dim=axis))
    return loss


def train_autoencoder(work: Path, minutes: float, pool, log) -> AutoEncoder:
    """Trains for `minutes`, sets shift and scale so that latents have mean 0 and deviation 1, saves `ae.pt`."""
    log("drawing pictures for the autoencoder")
    data = torch.from_numpy(np.stack(pool.map(picture, range(8000), chunksize=100))).permute(0, 3, 1, 2)
    components = principal_components(data)
    net = AutoEncoder()
    torch.nn.init.constant_(net.encoder.conv_out.bias[16:], -6.0)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    start, step = time.time(), 0
    while (spent := (time.time() - start) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * spent)))
        top, left = 8 * np.random.randint(0, (SIZE - CROP) // 8 + 1, 2)
        batch = data[torch.randint(len(data), (12,)), :, top : top + CROP, left : left + CROP].float() / 127.5 - 1
        given = F.conv2d(batch, components, stride=8)
        together = spent > 0.6
        with torch.autocast("cpu", torch.bfloat16):
            mean = net.encoder(batch)[:, :16].float()
            latent = mean if together else given
            out = net.decoder(latent + torch.randn_like(latent) * LATENT_NOISE).float()
        imitation = F.mse_loss(mean, given)
        loss = losses(out, batch) + (0.02 if together else 1.0) * imitation
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        average.update_parameters(net)
        if step % 100 == 0:
            psnr = -10 * torch.log10(F.mse_loss(out, batch) / 4).item()
            log(f"autoencoder {spent * minutes:5.1f} min  step {step}  loss {loss.item():.4f}  imitation {imitation.item():.4f}  PSNR {psnr:.1f} dB")
        step += 1
    net = average.module.eval()
    with torch.no_grad():
        sample = data[torch.randint(len(data), (256,))].float() / 127.5 - 1
        latent = torch.cat([net.encoder(part)[:, :16] for part in sample.split(32)])
        net.shift_factor.fill_(latent.mean())
        net.scale_factor.fill_(1 / latent.std())
        out = torch.cat([net.decode(net.encode(part)) for part in sample.split(32)]).clamp(-1, 1)
        log(f"autoencoder done: {step} steps, PSNR {-10 * torch.log10(F.mse_loss(out, sample) / 4):.1f} dB (float32, EMA)")
    torch.save(net.state_dict(), work / "ae.pt")
    return net
