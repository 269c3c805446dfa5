"""Trains the autoencoder: L1 at three scales, a little on edges, and a small KL, on drawn scenes and textures."""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import scenes
from .networks import AutoEncoder

SIZE, CROP = 128, 64


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


def losses(out: Tensor, target: Tensor) -> Tensor:
    loss = F.l1_loss(out, target)
    for factor in (2, 4, 8):
        loss = loss + 0.5 * F.l1_loss(F.avg_pool2d(out, factor), F.avg_pool2d(target, factor))
    for axis in (2, 3):
        loss = loss + F.l1_loss(out.diff(dim=axis), target.diff(dim=axis))
    return loss


def train_autoencoder(work: Path, minutes: float, pool, log) -> AutoEncoder:
    """Trains for `minutes`, sets shift and scale so that latents have mean 0 and deviation 1, saves `ae.pt`."""
    log("drawing pictures for the autoencoder")
    data = torch.from_numpy(np.stack(pool.map(picture, range(8000), chunksize=100))).permute(0, 3, 1, 2)
    net = AutoEncoder()
    torch.nn.init.constant_(net.encoder.conv_out.bias[16:], -6.0)  # hardly any noise at first: it only slows the start
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    start, step = time.time(), 0
    while (spent := (time.time() - start) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * min(1, (step + 1) / 100) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * spent)))
        top, left = np.random.randint(0, SIZE - CROP + 1, 2)
        batch = data[torch.randint(len(data), (12,)), :, top : top + CROP, left : left + CROP].float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            mean, logvar = net.encoder(batch).chunk(2, dim=1)
            mean, logvar = mean.float(), logvar.float().clamp(-20, 10)
            out = net.decoder(mean + torch.randn_like(mean) * (0.5 * logvar).exp()).float()
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
        loss = losses(out, batch) + 1e-4 * kl
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        average.update_parameters(net)
        if step % 100 == 0:
            psnr = -10 * torch.log10(F.mse_loss(out, batch) / 4).item()
            log(f"autoencoder {spent * minutes:5.1f} min  step {step}  loss {loss.item():.4f}  kl {kl.item():.2f}  PSNR {psnr:.1f} dB")
        step += 1
    net = average.module.eval()
    with torch.no_grad():
        sample = data[torch.randint(len(data), (256,))].float() / 127.5 - 1
        latent = torch.cat([net.encoder(part).chunk(2, dim=1)[0] for part in sample.split(32)])
        net.shift_factor.fill_(latent.mean())
        net.scale_factor.fill_(1 / latent.std())
        out = torch.cat([net.decode(net.encode(part)) for part in sample.split(32)]).clamp(-1, 1)
        log(f"autoencoder done: {step} steps, PSNR {-10 * torch.log10(F.mse_loss(out, sample) / 4):.1f} dB (float32, EMA)")
    torch.save(net.state_dict(), work / "ae.pt")
    return net
