"""The error on scenes that training never sees, task by task: cheap enough to be watched while it trains."""

from collections import defaultdict

import torch

from .examples import Example, encode_scenes
from .held_out import FIRST_SEED
from .networks import AutoEncoder
from .objective import Draw, joined, velocity_error

# Where the words decide, where form does, and where only detail is left.
SIGMAS = (0.95, 0.8, 0.5, 0.2)
GUIDANCE = 4.0  # as pocket is asked by default
SCENES = 100
# Of one task, shape and count of references.
PER_GROUP = 12


def held_out_examples(autoencoder: AutoEncoder, pool) -> list[Example]:
    return encode_scenes(autoencoder, pool, FIRST_SEED, SCENES, photographs="unseen")


def groups(examples: list[Example]) -> dict[tuple, list[Example]]:
    """By task, shape and count of references."""
    found = defaultdict(list)
    for e in examples:
        found[(e.task, e.target.shape, len(e.references))].append(e)
    return {key: members[:PER_GROUP] for key, members in found.items()}


@torch.no_grad()
def held_out_error(model, examples: list[Example]) -> dict[str, float]:
    """Mean squared velocity error inside the mask, by task."""
    generator = torch.Generator().manual_seed(0)
    errors, made = defaultdict(float), defaultdict(float)
    for (task, *_), batch in groups(examples).items():
        latents = joined(batch, model.where)
        for value in SIGMAS:
            noise = torch.randn(latents[0].shape, generator=generator).to(model.where)
            sigma = torch.full((len(batch),), value, device=model.where)
            draw = Draw(sigma, noise, torch.full_like(sigma, GUIDANCE))
            error, inside = velocity_error(model, latents, [e.text for e in batch], draw)
            errors[task] += (error * inside).sum().item()
            made[task] += inside.sum().item()
    return {task: errors[task] / made[task] for task in sorted(errors)}


