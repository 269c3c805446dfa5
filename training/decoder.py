"""Trains the decoder further, with the latents as they are: `python -m training.decoder --minutes N`.

The transformer was made for the encoder's latents, so those must not move any more; how well they are drawn may still grow.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .autoencoder import LATENT_NOISE, losses, picture
from .export import export_autoencoder
from .networks import AutoEncoder

# Far from those of the scenes and of the pictures that the autoencoder was trained on.
FIRST_SEED = 5_000_000
PICTURES, BATCH = 12_000, 8
# Of the minutes, so that drawing takes no more than a fifth of them.
PICTURES_A_MINUTE = 1_000


@torch.no_grad()
def encode_all(autoencoder: AutoEncoder, data: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, H, W] -> [N, 16, H/8, W/8] as the decoder itself takes them"""
    parts = [autoencoder.encoder(part.float() / 127.5 - 1)[:, :16] for part in data.split(32)]
    return torch.cat(parts).half()


def train_decoder(autoencoder: AutoEncoder, minutes: float, pool, log) -> AutoEncoder:
    """Whole pictures, not crops: what stands at a crop's border would be seen by the encoder and not by the decoder."""
    start = time.time()
    count = min(PICTURES, max(BATCH, int(minutes * PICTURES_A_MINUTE)))
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    data = torch.from_numpy(np.stack(pool.map(picture, seeds, chunksize=100))).permute(0, 3, 1, 2)
    latents = encode_all(autoencoder, data)
    log(f"{count} pictures for the decoder")
    decoder = autoencoder.decoder.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = torch.optim.swa_utils.AveragedModel(decoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    step, recent = 0, []
    while (spent := (time.time() - start) / 60 / minutes) < 1:
        optimiser.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * spent))
        chosen = torch.randint(len(data), (BATCH,))
        target = data[chosen].float() / 127.5 - 1
        latent = latents[chosen].float()
        latent = (latent + torch.randn_like(latent) * LATENT_NOISE).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = decoder(latent).float()
        loss = losses(out, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        average.update_parameters(decoder)
        recent.append(F.mse_loss(out, target).item() / 4)
        step += 1
        if step % 100 == 0:
            log(f"decoder {spent * minutes:5.1f} min  step {step}  loss {loss.item():.4f}  PSNR {-10 * np.log10(np.mean(recent)):.1f} dB")
            recent = []
    autoencoder.decoder = average.module.eval().to(memory_format=torch.contiguous_format)
    return autoencoder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("server/pocket"))
    options = parser.parse_args()
    autoencoder = AutoEncoder().eval()
    autoencoder.load_state_dict(torch.load(options.work / "ae.pt"))
    with multiprocessing.Pool() as pool:
        train_decoder(autoencoder, options.minutes, pool, lambda message: print(message, flush=True))
    torch.save(autoencoder.state_dict(), options.work / "ae.pt")
    export_autoencoder(options.out, autoencoder)


if __name__ == "__main__":
    main()
