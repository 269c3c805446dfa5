"""Trains the transformer and both text encoders, or resumes their training: `python -m training.train --minutes N`.

They learn the latents of the VAE in `training/checkpoint/`, which `--out` keeps a copy of: its encoder must not change any more.
Without a state in `--work` they start from the weights that ship, carried over to these latents (latent_map.py), or with
`--from-nothing` from random weights, in the order of STAGES.
"""

import argparse
import math
import multiprocessing
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from . import checkpoint, device, instructions, latent_map, pictures, sources, tokenizers
from .examples import Example, Store, batches
from .export import export, export_autoencoder, load
from .networks import AutoEncoder, ClipText, Flux, T5Encoder
from .objective import DRAWN_GUIDANCE, Model, loss_of
from .unseen import held_out_error, held_out_examples

# From the step on, these tasks as well. What is given shows most of the answer in the first ones, and least in the last.
STAGES = (
    (0, ("remove", "outpaint")),
    (3_000, ("recolor", "general-editing")),
    (5_000, ("inpaint", "local-editing", "control", "super-resolution", "text-to-image")),
    (8_000, ("local-reference-editing", "reference-generation")),
)
# Of the minutes of a run, for scenes that training has not seen yet.
DRAWING_SHARE = 0.15
RATE, BATCH = 1e-3, 64
WARM_UP, DECAY_AFTER = 100, 4_000
FIRST_SEED = 1000
SAVE_SECONDS, LOOK_STEPS = 180, 500


def new_model(tokens: tokenizers.TextTokens, guidance: tuple[float, float] = DRAWN_GUIDANCE) -> Model:
    clip = ClipText(tokens.clip_size, tokens.end_of_text, length=tokenizers.LENGTH)
    return Model(Flux(hidden=256, double=2, single=5), T5Encoder(tokens.t5_size), clip, tokens, guidance)


def cosine(spent: float) -> float:
    """The rate over one anneal, as a factor. spent: share of it that is over"""
    return 0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * spent))


class Training:
    """Optimisers and the average of one model's weights."""

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

    def step(self, batch: list[Example], factor: float, with_references: bool = True) -> float:
        """factor: of the rate. -> the loss"""
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.rate * min(1, (self.steps + 1) / WARM_UP) * factor
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
        return Model(*self.average.module, self.model.tokens, self.model.guidance)

    def state(self) -> dict:
        return {"networks": self.networks.state_dict(), "average": self.average.state_dict(), "steps": self.steps,
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers]}

    def resume(self, state: dict) -> None:
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        for optimiser, kept in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(kept)


def tasks_at(step: int) -> set[str]:
    return {task for begin, tasks in STAGES if step >= begin for task in tasks}


def latents_of(options: argparse.Namespace, where: torch.device) -> AutoEncoder:
    """The autoencoder whose latents are learned, as `--out` has it: once it is there, its encoder stays."""
    file = options.out / "ae.safetensors"
    if not file.exists():
        export_autoencoder(options.out, checkpoint.load(options.checkpoint / "ae.safetensors")[0])
    return checkpoint.load(file)[0].to(where)


def begin(options: argparse.Namespace, autoencoder: AutoEncoder, drawn: np.ndarray, where: torch.device, log) -> Training:
    """From the state in `--work`, else from the weights that ship, or from nothing."""
    for kind in ("t5", "clip"):
        if options.from_nothing and not (options.out / kind).exists():
            tokenizers.make(options.out / kind, instructions.corpus(), kind)
        elif not (options.out / kind).exists():
            shutil.copytree(options.pocket / kind, options.out / kind)
    guidance = (options.guidance, options.guidance) if options.guidance is not None else DRAWN_GUIDANCE
    model = new_model(tokenizers.TextTokens(options.out), guidance)
    state = options.work / "transformer.pt"
    if not state.exists() and not options.from_nothing:
        load(options.pocket, model.flux, model.t5, model.clip)
        shipped, _ = checkpoint.load(options.pocket / "ae.safetensors")
        sample = pictures.batch_of(drawn, 200, pictures.SIDE)
        matrix, offset, explained = latent_map.fit(shipped, autoencoder.cpu(), sample)
        autoencoder.to(where)
        latent_map.apply(model.flux, matrix, offset)
        log(f"from {options.pocket}, whose latents follow linearly from these: {explained:.1%} of their variance")
    model.networks.to(where)
    training = Training(model)
    if state.exists():
        training.resume(torch.load(state, map_location=where))
        log(f"resumed at step {training.steps} from {options.work}")
    return training


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("training/work/pocket"), help="a model that training.evaluate measures and the companion runs")
    parser.add_argument("--checkpoint", type=Path, default=Path("training/checkpoint"), help="where training.autoencoder left its weights")
    parser.add_argument("--pocket", type=Path, default=Path("server/pocket"), help="the weights to begin with")
    parser.add_argument("--from-nothing", action="store_true")
    parser.add_argument("--guidance", type=float, help="train at this value alone, instead of drawing it from 0 to 60")
    parser.add_argument("--anneal", action="store_true", help="let the rate fall to nothing over these minutes, before the weights ship")
    device.add_arguments(parser)
    options = parser.parse_args()
    where = device.start(options)
    sources.prepare()
    options.out.mkdir(parents=True, exist_ok=True)
    log = checkpoint.logger(options.work / "train.log")
    drawn = pictures.mapped(options.work / "pictures.npy", pictures.COUNT, device.processes(where))
    autoencoder = latents_of(options, where)
    training = begin(options, autoencoder, drawn, where, log)
    store = Store(options.work, autoencoder)
    with multiprocessing.Pool(device.processes(where), cv2.setNumThreads, (1,)) as pool:
        store.extend(pool, options.minutes * 60 * DRAWING_SHARE, FIRST_SEED)
        unseen = held_out_examples(autoencoder, pool)
    examples = store.load()
    log(f"{len(examples)} examples, {len(unseen)} held out")

    def look() -> None:
        errors = held_out_error(training.averaged(), unseen)
        log(f"held out  {'  '.join(f'{task} {error:.3f}' for task, error in errors.items())}")

    look()
    device.compile_blocks([*training.model.flux.double_blocks, *training.model.flux.single_blocks], where, options.minutes)

    def save() -> None:
        unfinished = options.work / "transformer.part"
        torch.save(training.state(), unfinished)
        unfinished.rename(options.work / "transformer.pt")
        averaged = training.averaged()
        export(options.out, averaged.flux, averaged.t5, averaged.clip)

    begun = saved = time.time()
    seconds = options.minutes * 60 * (1 - DRAWING_SHARE)
    recent: list[float] = []
    tasks: set[str] = set()
    draw = iter(())
    while (spent := (time.time() - begun) / seconds) < 1:
        wanted = tasks_at(training.steps) if options.from_nothing else {e.task for e in examples}
        if wanted != tasks:
            tasks = wanted
            draw = batches([e for e in examples if e.task in tasks], BATCH)
        decay = (1 + training.steps / DECAY_AFTER) ** -0.5
        recent.append(training.step(next(draw), decay * (cosine(spent) if options.anneal else 1)))
        if training.steps % 50 == 0:
            log(f"step {training.steps}  {len(tasks)} tasks  loss {np.mean(recent):.4f}")
            recent = []
        if training.steps % LOOK_STEPS == 0:
            look()
        if time.time() - saved > SAVE_SECONDS:
            save()
            saved = time.time()
    save()
    look()


if __name__ == "__main__":
    main()
