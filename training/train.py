"""Trains pocket from nothing: `python -m training.train --minutes N`.

The paper's objective (eq. 1, 6): x_t = (1 - sigma) x_0 + sigma noise, the network predicts noise - x_0, for the
references as well as for the target. Stage 1: tasks without references; stage 2: all tasks.
"""

import argparse
import itertools
import math
import multiprocessing
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import instructions, samples, tokenizers
from .autoencoder import train_autoencoder
from .decoder import train_decoder
from .export import export, load
from .networks import AutoEncoder, ClipText, Flux, T5Encoder

# Of all minutes, the last: the decoder alone.
DECODER_SHARE = 0.12



@dataclass
class Example:
    """Latents [16, h, w] float16 and masks [64, h, w] uint8 of the joined picture are put together from these."""

    target: Tensor
    edit: Tensor
    mask: Tensor
    references: list[Tensor]
    text: str
    task: str


def unshuffle(mask: np.ndarray) -> Tensor:
    """`(h 8)(w 8) -> (8 8) h w`"""
    return F.pixel_unshuffle(torch.from_numpy(mask)[None, None].float(), 8)[0].to(torch.uint8)


def pack(x: Tensor) -> Tensor:
    """`c (h 2) (w 2) -> (h w) (c 2 2)`, batched"""
    return F.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


@torch.no_grad()
def encode_scene(autoencoder: AutoEncoder, scene: samples.Scene) -> list[Example]:
    batch = torch.from_numpy(np.stack(list(scene.pictures.values()))).permute(0, 3, 1, 2).float() / 127.5 - 1
    blank = torch.zeros(1, *batch.shape[1:])
    with torch.autocast("cpu", torch.bfloat16):
        latents = autoencoder.encode(torch.cat([batch, blank])).half()
    by_name = dict(zip([*scene.pictures, "none"], latents))
    masks = {name: unshuffle(mask) for name, mask in scene.masks.items()}
    return [
        Example(by_name[s["target"]], by_name[s["edit"]], masks[s["mask"]],
                [by_name[f"reference{n + 1}"] for n in range(s["references"])], s["text"], s["task"])
        for s in scene.samples
    ]


def draw_examples(autoencoder: AutoEncoder, pool, seconds: float) -> list[Example]:
    """As many as the time allows: some 8,000 scenes in a quarter of an hour on two cores."""
    examples, until = [], time.time() + seconds
    for first in itertools.count(1000, 200):
        # A round at a time: drawing is faster than encoding, and what waits would fill the memory.
        for _, scene in pool.imap_unordered(samples.draw_scene, range(first, first + 200), chunksize=20):
            examples += encode_scene(autoencoder, scene)
        if time.time() > until:
            return examples


def joined(batch: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """[references | target] along the width. -> x_0 [B, 16, h, w], edit [B, 16, h, w], mask [B, 64, h, w]"""
    clean = torch.stack([torch.cat([*e.references, e.target], dim=-1) for e in batch]).float()
    edit = torch.stack([torch.cat([*e.references, e.edit], dim=-1) for e in batch]).float()
    width = batch[0].target.shape[-1]
    mask = torch.zeros(len(batch), 64, *clean.shape[2:])
    mask[..., -width:] = torch.stack([e.mask for e in batch]).float()
    return clean, edit, mask


def loss_of(flux, t5, clip, tokens, batch: list[Example]) -> Tensor:
    """Mean squared velocity error; the target inside its mask counts fully, what is given already a tenth of it."""
    clean, edit, mask = joined(batch)
    count = len(batch)
    rows, columns = clean.shape[2] // 2, clean.shape[3] // 2
    # Without an instruction a masked place is emptied, so the one task that contradicts this keeps its words.
    texts = ["" if np.random.random() < 0.1 and e.task != "inpaint" else e.text for e in batch]
    mu = 0.5 + (rows * columns - 256) * (1.15 - 0.5) / (4096 - 256)
    sigma = torch.sigmoid(torch.randn(count) * 1.1 + mu)
    # The latent's strong components show through much noise, and tell colour and form before the words need to be
    # read. Only above 0.85 do the words decide: four in ten samples lie there.
    sigma = torch.where(torch.rand(count) < 0.4, 0.85 + 0.15 * torch.rand(count), sigma)
    noise = torch.randn_like(clean)
    s = sigma[:, None, None, None]
    x = (1 - s) * clean + s * noise
    t5_tokens, clip_tokens = tokens(texts)
    with torch.autocast("cpu", torch.bfloat16):
        conditioning = pack(torch.cat([x, edit], dim=1)), pack(mask)
        velocity = flux(torch.cat(conditioning, dim=-1), (rows, columns), t5(t5_tokens), clip(clip_tokens), sigma, torch.rand(count) * 60)
    error = (velocity.float() - pack(noise - clean)).pow(2).mean(-1)
    weight = 0.1 + 0.9 * pack(mask).amax(-1)
    return (error * weight).sum() / weight.sum()


# How often a task is drawn for each time that it was combined: in these nothing that is given shows what shall appear.
EMPHASIS = defaultdict(lambda: 1.0, {"inpaint": 2.0, "remove": 2.0, "local-reference-editing": 2.0})


def batches(examples: list[Example], size: int):
    """Endless batches of one shape each, drawn in proportion to how many there are, with EMPHASIS."""
    groups = defaultdict(list)
    for e in examples:
        groups[(e.target.shape, len(e.references))].append(e)
    pools = list(groups.values())
    chances = [np.array([EMPHASIS[e.task] for e in pool]) for pool in pools]
    shares = np.array([c.sum() for c in chances])
    while True:
        n = np.random.choice(len(pools), p=shares / shares.sum())
        pool = pools[n]
        tokens = pool[0].target[0].numel() // 4 * (1 + len(pool[0].references))
        take = max(4, size * 81 // tokens)
        yield [pool[i] for i in np.random.choice(len(pool), take, p=chances[n] / shares[n])]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("server/pocket"))
    parser.add_argument("--go-on", action="store_true", help="train what lies in --out further")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    start = time.time()

    def log(message: str) -> None:
        line = f"{(time.time() - start) / 60:6.1f} min  {message}"
        print(line, flush=True)
        with open(options.work / "train.log", "a") as file:
            file.write(line + "\n")

    if not options.go_on:
        for kind in ("t5", "clip"):
            tokenizers.make(options.out / kind, instructions.corpus(), kind)
    tokens = tokenizers.TextTokens(options.out)
    flux = Flux(hidden=256, double=2, single=5)
    t5 = T5Encoder(tokens.t5_size)
    clip = ClipText(tokens.clip_size, tokens.end_of_text, length=tokenizers.LENGTH)
    model = torch.nn.ModuleList([flux, t5, clip])
    with multiprocessing.Pool() as pool:
        autoencoder = AutoEncoder().eval()
        if options.go_on:
            load(options.out, flux, t5, clip, autoencoder)
        elif (options.work / "ae.pt").exists():
            autoencoder.load_state_dict(torch.load(options.work / "ae.pt"))
        else:
            autoencoder = train_autoencoder(options.work, options.minutes * 0.25, pool, log)
        if (options.work / "examples.pt").exists():
            examples = torch.load(options.work / "examples.pt", weights_only=False)
        else:
            log("drawing and encoding scenes")
            examples = draw_examples(autoencoder, pool, seconds=options.minutes * 60 * 0.17)
            torch.save(examples, options.work / "examples.pt")
    log(f"{len(examples)} examples")

    first_stage = 0.0 if options.go_on else 0.35
    if (options.work / "model.pt").exists():
        first_stage = 0.0
        model.load_state_dict(torch.load(options.work / "model.pt"))
        log("continuing from model.pt")
    # Muon for what multiplies: after 200 steps on the same samples its loss was 3% below AdamW's, at a fifth more time.
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embedding" not in name and "shared" not in name and "bias" not in name]
    others = set(model.parameters()) - set(matrices)
    rate = 1e-3
    optimisers = [
        torch.optim.Muon(matrices, lr=rate, weight_decay=1e-2, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([p for p in model.parameters() if p in others], lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    # A quarter off each step; half a minute of compiling for each shape of a batch, so short runs go without.
    if options.minutes >= 30 and shutil.which("g++"):
        torch._dynamo.config.recompile_limit = 64
        for block in [*flux.double_blocks, *flux.single_blocks]:
            block.compile(dynamic=False)

    def save() -> None:
        torch.save(average.module.state_dict(), options.work / "model.pt")
        export(options.out, *average.module, autoencoder)

    begun, step, saved, recent = time.time(), 0, time.time(), []
    decoding = options.minutes * DECODER_SHARE
    left = (options.minutes - decoding) * 60 - (begun - start)
    plain = batches([e for e in examples if not e.references], 64)
    every = batches(examples, 64)
    while (spent := (time.time() - begun) / left) < 1:
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = rate * min(1, (step + 1) / 100) * (0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * spent)))
        loss = loss_of(flux, t5, clip, tokens, next(plain if spent < first_stage else every))
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        average.update_parameters(model)
        recent.append(loss.item())
        step += 1
        if step % 50 == 0:
            log(f"stage {1 if spent < first_stage else 2}  step {step}  loss {np.mean(recent):.4f}")
            recent = []
        if time.time() - saved > 120:
            save()
            saved = time.time()
    log(f"{step} steps done")
    with multiprocessing.Pool() as pool:
        train_decoder(autoencoder, decoding, pool, log)
    torch.save(autoencoder.state_dict(), options.work / "ae.pt")
    save()
    log("done")


if __name__ == "__main__":
    main()
