"""Trains pocket from nothing: `python -m training.train --minutes N`.

Stage 1: tasks without references; stage 2: all tasks (section 3.4 of the paper).
"""

import argparse
import math
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import torch

from . import instructions, sources, tokenizers
from .autoencoder import train_autoencoder
from .decoder import train_decoder
from .examples import Example, batches, draw_examples
from .export import export, load
from .networks import AutoEncoder, ClipText, Flux, T5Encoder
from .objective import Model, loss_of

# Of all minutes, the last: the decoder alone.
DECODER_SHARE = 0.12
# Of the transformer's minutes, when it is trained from nothing: stage 1.
FIRST_STAGE = 0.35
RATE, BATCH = 1e-3, 64
# Of the scenes, one each.
FIRST_SEED = 1000


def new_model(tokens: tokenizers.TextTokens) -> Model:
    clip = ClipText(tokens.clip_size, tokens.end_of_text, length=tokenizers.LENGTH)
    return Model(Flux(hidden=256, double=2, single=5), T5Encoder(tokens.t5_size), clip, tokens)


class Training:
    """Optimisers and the average of one model's weights, over one anneal of the rate."""

    def __init__(self, model: Model, rate: float = RATE):
        self.model, self.rate, self.steps = model, rate, 0
        self.networks = model.networks
        # Muon for what multiplies: after 200 steps on the same samples its loss was 3% below AdamW's, at a fifth more time.
        matrices = [p for name, p in self.networks.named_parameters() if p.dim() == 2 and "embedding" not in name and "shared" not in name and "bias" not in name]
        others = set(self.networks.parameters()) - set(matrices)
        self.optimisers = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=1e-2, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([p for p in self.networks.parameters() if p in others], lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.average = torch.optim.swa_utils.AveragedModel(self.networks, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))

    def step(self, batch: list[Example], spent: float, with_references: bool = True) -> float:
        """@param spent share of the anneal that is over; -> the loss"""
        anneal = 0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * spent))
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.rate * min(1, (self.steps + 1) / 100) * anneal
        loss = loss_of(self.model, batch, with_references)
        self.networks.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update_parameters(self.networks)
        self.steps += 1
        return loss.item()

    def averaged(self) -> Model:
        return Model(*self.average.module, self.model.tokens)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("server/pocket"))
    parser.add_argument("--go-on", action="store_true", help="train what lies in --out further")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    sources.prepare()
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
    model = new_model(tokens)
    with multiprocessing.Pool() as pool:
        autoencoder = AutoEncoder().eval()
        if options.go_on:
            load(options.out, model.flux, model.t5, model.clip, autoencoder)
        elif (options.work / "ae.pt").exists():
            autoencoder.load_state_dict(torch.load(options.work / "ae.pt"))
        else:
            autoencoder = train_autoencoder(options.work, options.minutes * 0.25, pool, log)
        if (options.work / "examples.pt").exists():
            examples = torch.load(options.work / "examples.pt", weights_only=False)
        else:
            log("drawing and encoding scenes")
            # Weights that are trained further get scenes that they have not seen.
            first_seed = int(start) if options.go_on else FIRST_SEED
            examples = draw_examples(autoencoder, pool, options.minutes * 60 * 0.17, first_seed)
            torch.save(examples, options.work / "examples.pt")
    log(f"{len(examples)} examples")

    first_stage = 0.0 if options.go_on else FIRST_STAGE
    if (options.work / "model.pt").exists():
        first_stage = 0.0
        model.networks.load_state_dict(torch.load(options.work / "model.pt"))
        log("continuing from model.pt")
    training = Training(model)
    # A quarter off each step; half a minute of compiling for each shape of a batch, so short runs go without.
    if options.minutes >= 30 and shutil.which("g++"):
        torch._dynamo.config.recompile_limit = 64
        for block in [*model.flux.double_blocks, *model.flux.single_blocks]:
            block.compile(dynamic=False)

    def save() -> None:
        averaged = training.averaged()
        torch.save(averaged.networks.state_dict(), options.work / "model.pt")
        export(options.out, averaged.flux, averaged.t5, averaged.clip, autoencoder)

    begun, saved, recent = time.time(), time.time(), []
    decoding = options.minutes * DECODER_SHARE
    left = (options.minutes - decoding) * 60 - (begun - start)
    plain = batches([e for e in examples if not e.references], BATCH)
    every = batches(examples, BATCH)
    while (spent := (time.time() - begun) / left) < 1:
        stage = 1 if spent < first_stage else 2
        recent.append(training.step(next(plain if stage == 1 else every), spent))
        if training.steps % 50 == 0:
            log(f"stage {stage}  step {training.steps}  loss {np.mean(recent):.4f}")
            recent = []
        if time.time() - saved > 120:
            save()
            saved = time.time()
    log(f"{training.steps} steps done")
    with multiprocessing.Pool() as pool:
        train_decoder(autoencoder, decoding, pool, log)
    torch.save(autoencoder.state_dict(), options.work / "ae.pt")
    save()
    log("done")


if __name__ == "__main__":
    main()
