"""Pictures for the autoencoder, drawn once and mapped from the disk: mostly parts of photographs, bare or with things on them."""

import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from . import scenes

SIDE = 128
COUNT = 12_000
# Far from the seeds of scenes (training.train) and of cases that measure (training.held_out).
FIRST_SEED = 5_000_000
PHOTOGRAPHS, TEXTURES = 0.75, 0.05


def picture(seed: int) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]"""
    rng = np.random.default_rng(seed)
    kind = rng.random()
    if kind < TEXTURES:
        canvas = scenes.texture(rng, SIDE, SIDE)
    else:
        on_photograph = kind < TEXTURES + PHOTOGRAPHS
        canvas = scenes.photo(rng, SIDE, SIDE) if on_photograph else scenes.background(rng, SIDE, SIDE, scenes.DRAWN)
        for _ in range(rng.integers(0, 3) if on_photograph and rng.random() < 0.4 else 0 if on_photograph else rng.integers(0, 5)):
            canvas = scenes.paint(canvas, scenes.thing(rng, 1.0), shadow=rng.random() < 0.8)
        if rng.random() < 0.15:  # what a masked edit image looks like: grey holes with hard edges, partly or wholly
            hole = scenes.brush_mask(rng, scenes.thing(rng, 1.0), SIDE, SIDE)[..., None]
            canvas = canvas + (0.5 - canvas) * hole * rng.choice([0.5, 1.0])
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def mapped(file: Path, count: int, processes: int) -> np.ndarray:
    """Draws `count` pictures into `file` unless it holds as many. -> uint8 [N, SIDE, SIDE, 3], read-only, mapped"""
    if not file.exists() or len(np.load(file, mmap_mode="r")) < count:
        unfinished = file.with_suffix(".part")
        drawn = open_memmap(unfinished, "w+", np.uint8, (count, SIDE, SIDE, 3))
        with multiprocessing.Pool(processes, cv2.setNumThreads, (1,)) as pool:
            for n, one in enumerate(pool.imap(picture, range(FIRST_SEED, FIRST_SEED + count), chunksize=50)):
                drawn[n] = one
        drawn.flush()
        unfinished.rename(file)
    return np.load(file, mmap_mode="r")


def batch_of(pictures: np.ndarray, count: int, crop: int, where: torch.device | str = "cpu") -> Tensor:
    """Random parts of random pictures, some mirrored or upside down. -> [B, 3, crop, crop] in [-1, 1]"""
    parts = np.empty((count, crop, crop, 3), np.uint8)
    for part, index in zip(parts, np.random.randint(len(pictures), size=count)):
        top, left = np.random.randint(0, SIDE - crop + 1, 2)
        part[:] = pictures[index, top : top + crop, left : left + crop][:: np.random.choice([1, 1, 1, -1]), :: np.random.choice([1, -1])]
    return torch.from_numpy(parts).to(where).permute(0, 3, 1, 2).float() / 127.5 - 1
