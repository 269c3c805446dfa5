"""Scenes as the latents that training reads: every picture is encoded once and serves the samples of many tasks."""

import functools
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import device, samples
from .networks import AutoEncoder

# How often a task is drawn for each time that it was combined. In filling, placing and showing nothing that is given shows what
# shall appear; removing and extending are what people try first.
EMPHASIS = defaultdict(lambda: 1.0, {
    "inpaint": 2.0, "remove": 2.0, "outpaint": 2.0, "local-reference-editing": 3.0, "reference-generation": 2.5})
# Scenes in a file: drawing is faster than encoding, and what waits would fill the memory.
SHARD = 100
# Of all examples that are trained on, in bytes.
MEMORY = 4e9


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
    where = autoencoder.shift_factor.device
    batch = torch.from_numpy(np.stack(list(scene.pictures.values()))).to(where).permute(0, 3, 1, 2).float() / 127.5 - 1
    blank = torch.zeros(1, *batch.shape[1:], device=where)
    with device.autocast(where):
        latents = autoencoder.encode(torch.cat([batch, blank])).half().cpu()
    by_name = dict(zip([*scene.pictures, "none"], latents))
    masks = {name: unshuffle(mask) for name, mask in scene.masks.items()}
    return [
        Example(by_name[s["target"]], by_name[s["edit"]], masks[s["mask"]],
                [by_name[f"reference{n + 1}"] for n in range(s["references"])], s["text"], s["task"])
        for s in scene.samples
    ]


def encode_scenes(autoencoder: AutoEncoder, pool, first_seed: int, count: int = SHARD, photographs: str = "train") -> list[Example]:
    draw = functools.partial(samples.draw_scene, photographs=photographs)
    scenes = pool.imap(draw, range(first_seed, first_seed + count), chunksize=10)
    return [example for _, scene in scenes for example in encode_scene(autoencoder, scene)]


class Store:
    """Files of encoded scenes, in a folder of this very encoder: the latents of another are never mixed in."""

    def __init__(self, work: Path, autoencoder: AutoEncoder):
        self.autoencoder = autoencoder
        digest = hashlib.sha256()
        for key, value in sorted(autoencoder.state_dict().items()):
            if not key.startswith("decoder."):
                digest.update(value.detach().cpu().numpy().tobytes())
        self.folder = work / f"examples-{digest.hexdigest()[:12]}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("*.pt"))

    def extend(self, pool, seconds: float, first_seed: int) -> None:
        """Draws scenes that no call has drawn yet, for that long."""
        until = time.time() + seconds
        while time.time() < until:
            drawn = len(self.shards())
            unfinished = self.folder / "unfinished.part"
            torch.save(encode_scenes(self.autoencoder, pool, first_seed + drawn * SHARD), unfinished)
            unfinished.rename(self.folder / f"{drawn:05}.pt")

    def load(self) -> list[Example]:
        """The newest that fit MEMORY."""
        newest, size = [], 0
        for shard in reversed(self.shards()):
            size += shard.stat().st_size
            if size > MEMORY:
                break
            newest.append(shard)
        return [example for shard in newest for example in torch.load(shard, weights_only=False)]


def batches(examples: list[Example], size: int) -> Iterator[list[Example]]:
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
