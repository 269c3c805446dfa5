"""torch's own noise, and the two published schedules."""

import math
import random

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from weights import save


def write_noise(lines, seed):
    """Fewer than 16 values (torch's scalar path), multiples of 16, and others."""
    draws = {0: (5, 15, 16, 20, 100, 1024), 7: (37, 2304), 2**32 - 1: (64,)}
    if seed != 0:
        r = random.Random(seed)
        draws = {r.randrange(2**32): (r.randint(1, 15), 16 * r.randint(1, 300), r.randint(17, 5000)) for _ in range(4)}
    arrays = {}
    for start, counts in draws.items():
        for count in counts:
            torch.manual_seed(start)
            arrays[f"{start}.{count}"] = torch.randn(count)
    save(arrays, lines.folder / "noise.safetensors")
    counts = sorted({count for counts in draws.values() for count in counts})
    lines.add("noise", "Noise, torch.randn", f"{len(draws)} seeds, counts {', '.join(map(str, counts))}", arrays="noise.safetensors")


def shift_exponent(tokens):
    """black-forest-labs/flux, sampling.py: a line through (256, 0.5) and (4096, 1.15)."""
    slope = (1.15 - 0.5) / (4096 - 256)
    return slope * tokens + (0.5 - slope * 256)


def authors(steps, tokens):
    mu = shift_exponent(tokens)
    sigmas = torch.linspace(1, 0, steps + 1)
    return math.exp(mu) / (math.exp(mu) + (1 / sigmas - 1))


def diffusers(steps, tokens):
    # FLUX.1-Fill-dev's scheduler_config.json; mu as in FluxFillPipeline.
    scheduler = FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256, base_shift=0.5, max_image_seq_len=4096, max_shift=1.15, shift=3.0, use_dynamic_shifting=True
    )
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=shift_exponent(tokens))
    return scheduler.sigmas


def write_schedules(lines, seed):
    cases = [(28, 4096), (12, 144), (1, 1024), (50, 8000)]
    if seed != 0:
        r = random.Random(seed)
        cases = [(r.randint(1, 100), r.randint(16, 9000)) for _ in range(4)]
    said = ", ".join(f"{steps} steps of {tokens}" for steps, tokens in cases)
    for name, formula in (("authors", authors), ("diffusers", diffusers)):
        file = f"schedule-{name}.safetensors"
        save({f"{steps}.{tokens}": formula(steps, tokens) for steps, tokens in cases}, lines.folder / file)
        lines.add("schedule", f"Schedule of {'the authors' if name == 'authors' else name}", f"{said} tokens", arrays=file, name=name)
