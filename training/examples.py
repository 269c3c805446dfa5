"""Scenes as the latents that training reads: every picture is encoded once and serves the samples of many tasks."""

import itertools
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import samples
from .networks import AutoEncoder

# How often a task is drawn for each time that it was combined: in these nothing that is given shows what shall appear.
EMPHASIS = defaultdict(lambda: 1.0, {"inpaint": 2.0, "remove": 1.5, "local-reference-editing": 3.0, "reference-generation": 2.5})


@dataclass
class Example:
    """Latents [16, h, w] float16, mask uint8 [64, h, w]; references as the target."""

    target: Tensor
    edit: Tensor
    mask: Tensor
    references: list[Tensor]
    text: str
    task: str


def unshuffle(mask: np.ndarray) -> Tensor:
    """`(h 8)(w 8) -> (8 8) h w`"""
    return F.pixel_unshuffle(torch.from_numpy(mask)[None, None].float(), 8)[0].to(torch.uint8)


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


def draw_examples(autoencoder: AutoEncoder, pool, seconds: float, first_seed: int) -> list[Example]:
    """As many as the time allows: some 8,000 scenes in a quarter of an hour on two cores."""
    examples, until = [], time.time() + seconds
    for first in itertools.count(first_seed, 200):
        # A round at a time: drawing is faster than encoding, and what waits would fill the memory.
        for _, scene in pool.imap_unordered(samples.draw_scene, range(first, first + 200), chunksize=20):
            examples += encode_scene(autoencoder, scene)
        if time.time() > until:
            return examples


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
