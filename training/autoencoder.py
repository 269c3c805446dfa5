"""Trains the VAE, or resumes its training: `python -m training.autoencoder --minutes N`.

It starts as a principal component analysis (principal.py) and can be stopped at any time: `--work` keeps its state, `--out` what
a fresh clone resumes from. `--measure` compares it with that analysis, on pictures that no training sees.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import checkpoint, device, latent_map, pictures, principal, sources
from .export import export_autoencoder
from .networks import AutoEncoder

# Parts of pictures in a step, and their side: large enough that the norms see about what they see of a whole picture.
BATCH, CROP = 6, 96
RATE, WARM_UP, DECAY_AFTER = 3e-4, 50, 4_000
# The decoder has more to learn than the encoder, which begins exact.
DECODER_FIRST = 400
# Standard deviation added before decoding, so that a slightly wrong latent still decodes well.
LATENT_NOISE = 0.06
# How strongly latents are held to the principal components, of which the transformer learns easily.
ANCHOR = 0.02
SAVE_SECONDS = 180


def growing_average(averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
    """Exponential, over a tenth of all steps and at most a thousand: it does not keep the beginning."""
    torch._foreach_lerp_(averages, values, max(1e-3, 10 / (10 + count.item())))


class Training:
    """The network, the average of its weights, and what resuming needs."""

    def __init__(self, net: AutoEncoder, rows: Tensor | None, where: torch.device):
        """rows: the components that the latents are held to; without them the encoder stays as it is"""
        self.net = net.to(where).train()
        self.net.encoder.requires_grad_(rows is not None)
        self.rows, self.where = rows if rows is None else rows.to(where), where
        # Steps of the network, and of them those before the optimisers were new.
        self.step = self.before = 0
        # After 120 steps of the decoder from the principal components: 24.8 dB with Muon, 23.7 with AdamW at its best rate. It takes
        # matrices alone, so the kernels have a view as such.
        self.kernels = [p for name, p in net.named_parameters() if p.dim() == 4 and "conv_in" not in name and "conv_out" not in name]
        self.matrices = [torch.nn.Parameter(kernel.data.view(len(kernel), -1)) for kernel in self.kernels]
        views = {id(kernel) for kernel in self.kernels}
        self.optimisers = [
            torch.optim.Muon(self.matrices, lr=RATE, weight_decay=1e-2, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([p for p in net.parameters() if id(p) not in views], lr=RATE, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self.average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=growing_average, use_buffers=True)

    def advance(self, batch: Tensor) -> tuple[float, float]:
        """One step on [B, 3, H, W] in [-1, 1]. -> the loss, the mean squared error"""
        # No end is planned: it falls with the root of the steps, and the average of the weights does the rest.
        rate = RATE * min(1, (self.step - self.before + 1) / WARM_UP) * (1 + self.step / DECAY_AFTER) ** -0.5
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = rate
        with device.autocast(self.where):
            latent, held = self.encode(batch)
            out = self.net.decoder(latent + torch.randn_like(latent) * LATENT_NOISE).float()
        error = F.mse_loss(out, batch)
        loss = F.l1_loss(out, batch) + 8 * error + ANCHOR * held
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for kernel, matrix in zip(self.kernels, self.matrices):
            matrix.grad = None if kernel.grad is None else kernel.grad.view_as(matrix)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update_parameters(self.net)
        self.step += 1
        return loss.item(), error.item()

    def encode(self, batch: Tensor) -> tuple[Tensor, Tensor | float]:
        """-> the latent to decode, how far it is from the components (mean squared)"""
        if self.rows is None:
            with torch.no_grad():
                return self.net.encoder(batch)[:, :16].float(), 0.0
        given = torch.einsum("kc,bchw->bkhw", self.rows, F.pixel_unshuffle(batch, 8))
        if self.step < DECODER_FIRST:
            return given, 0.0
        latent = self.net.encoder(batch)[:, :16].float()
        return latent, F.mse_loss(latent, given)

    def averaged(self) -> AutoEncoder:
        return self.average.module

    def state(self) -> dict:
        return {"net": self.net.state_dict(), "average": self.average.state_dict(), "rows": self.rows, "step": self.step,
                "before": self.before, "optimisers": [optimiser.state_dict() for optimiser in self.optimisers]}

    def resume(self, state: dict) -> None:
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.step, self.before = state["step"], state["before"]
        for optimiser, kept in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(kept)


def begin(options: argparse.Namespace, drawn: np.ndarray, where: torch.device, log) -> Training:
    """From the state in `--work`, else from the tracked weights, else from principal components that resemble the latents in `--pocket`."""
    state = state_file(options)
    if state.exists():
        kept = torch.load(state, map_location=where)
        training = Training(AutoEncoder(), kept["rows"], where)
        training.resume(kept)
        log(f"resumed at step {training.step} from {options.work}")
    elif options.decoder:
        training = Training(checkpoint.load(options.decoder / "ae.safetensors")[0], None, where)
        log(f"the decoder of {options.decoder}")
    elif (options.out / "ae.safetensors").exists():
        net, kept = checkpoint.load(options.out / "ae.safetensors")
        training = Training(net, kept["rows"], where)
        training.step = training.before = kept["step"]
        log(f"resumed at step {training.step} from {options.out}")
    else:
        sample = pictures.batch_of(drawn, 200, pictures.SIDE)
        shipped, _ = checkpoint.load(options.pocket / "ae.safetensors")
        rows, net = latent_map.alike(principal.components(sample), shipped, sample), AutoEncoder()
        principal.begin_linear(net, rows, sample)
        training = Training(net, rows, where)
        log("from the principal components")
    return training


def state_file(options: argparse.Namespace) -> Path:
    return options.work / ("decoder.pt" if options.decoder else "autoencoder.pt")


def train_autoencoder(options: argparse.Namespace, where: torch.device, log) -> AutoEncoder:
    """Writes its state and `pictures.npy` in `--work`, and `ae.safetensors` in `--out` or `--decoder`. -> the averaged network"""
    drawn = pictures.mapped(options.work / "pictures.npy", pictures.COUNT, device.processes(where))
    training = begin(options, drawn, where, log)

    def save() -> None:
        unfinished = options.work / "state.part"
        torch.save(training.state(), unfinished)
        unfinished.rename(state_file(options))
        if options.decoder:
            export_autoencoder(options.decoder, training.averaged())
        else:
            checkpoint.save(training.averaged(), options.out / "ae.safetensors", rows=training.rows, step=training.step)

    begun = saved = time.time()
    recent: list[tuple[float, float]] = []
    while time.time() - begun < options.minutes * 60:
        recent.append(training.advance(pictures.batch_of(drawn, BATCH, CROP, where)))
        if training.step % 50 == 0:
            loss, error = np.mean(recent, axis=0)
            log(f"step {training.step}  loss {loss:.4f}  PSNR {-10 * np.log10(error / 4):.2f} dB")
            recent = []
        if time.time() - saved > SAVE_SECONDS:
            save()
            saved = time.time()
    save()
    return training.averaged()


# ------------------------------------------------------------------ measuring

MEASURED_SIDE = 192


def square(picture: np.ndarray) -> np.ndarray:
    """The middle, MEASURED_SIDE pixels wide: uint8 [H, W, 3] -> float32 [S, S, 3] in [-1, 1]"""
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    middle = np.ascontiguousarray(picture[top : top + side, left : left + side])
    return cv2.resize(middle, (MEASURED_SIDE, MEASURED_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 127.5 - 1


def unseen() -> dict[str, np.ndarray]:
    """Three public pictures, and the photographs that are held out from training."""
    from skimage import data

    public = {name: square(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea")}
    return public | {sources.stored(p).stem: square(np.load(sources.stored(p))) for p in sources.listed() if p.use != "train"}


def psnr(out: Tensor, wanted: Tensor) -> float:
    return -10 * torch.log10(F.mse_loss(out.clamp(-1, 1), wanted) / 4).item()


@torch.no_grad()
def measure(nets: dict[str, AutoEncoder], drawn: np.ndarray) -> str:
    """A table of dB: each network beside the linear transforms with 16 and 32 components, fitted to training's pictures."""
    sample = principal.blocks_of(pictures.batch_of(drawn, 1000, 64), 8)
    bases = {f"PCA {count}": principal.principal(sample, count)[0] for count in (16, 32)}
    rows = {}
    for name, picture in unseen().items():
        wanted = torch.from_numpy(picture).permute(2, 0, 1)[None]
        blocks = F.pixel_unshuffle(wanted, 8)
        row = {}
        for title, basis in bases.items():
            kept = torch.einsum("kc,kd,bdhw->bchw", basis, basis, blocks)
            row[title] = psnr(F.pixel_shuffle(kept, 8), wanted)
        for title, net in nets.items():
            row[title] = psnr(net.decode(net.encode(wanted)), wanted)
        rows[name] = row
    held_out = list(rows)[3:]
    rows["mean of the held-out"] = {title: float(np.mean([rows[name][title] for name in held_out])) for title in rows[held_out[0]]}
    titles = list(rows["astronaut"])
    lines = [f"| dB | {' | '.join(titles)} |", "| --- " * (len(titles) + 1) + "|"]
    return "\n".join(lines + [f"| {name} | {' | '.join(f'{row[t]:.1f}' for t in titles)} |" for name, row in rows.items()])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("training/checkpoint"))
    parser.add_argument("--pocket", type=Path, default=Path("server/pocket"), help="the model whose transformer is to learn these latents")
    parser.add_argument("--measure", nargs="*", type=Path, metavar="FILE", help="instead of training: these ae.safetensors, that of --out without any")
    parser.add_argument("--decoder", type=Path, metavar="DIR", help="train the decoder of this model alone, and leave its latents as they are")
    device.add_arguments(parser)
    options = parser.parse_args()
    where = device.start(options)
    sources.prepare()
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    if options.measure is None:
        log = checkpoint.logger(options.work / "autoencoder.log")
        train_autoencoder(options, where, log)
    else:
        drawn = pictures.mapped(options.work / "pictures.npy", pictures.COUNT, device.processes(where))
        files = options.measure or [options.out / "ae.safetensors"]
        print(measure({str(file.parent): checkpoint.load(file)[0] for file in files}, drawn))


if __name__ == "__main__":
    main()
