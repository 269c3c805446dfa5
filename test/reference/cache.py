"""First-block caching as diffusers has it, over steps that differ little and then much."""

import copy

import torch
from diffusers import FirstBlockCacheConfig

import flux
from weights import save

THRESHOLD = 0.25
# The timestep embedding of random weights knows no neighbours: steps have to be tiny to be alike.
SIGMAS = (0.95, 0.9498, 0.9496, 0.949, 0.7, 0.6998, 0.6996, 0.4)


def write(lines, model, shape, weights, text_width, vector_width, seed):
    """@param model and `shape`, whose weights are in the file"""
    inputs = flux.draw_inputs(shape, text_width, vector_width, seed)
    noise = torch.randn(inputs["image"].shape, generator=torch.Generator().manual_seed(seed + 1))
    cached = copy.deepcopy(model)
    cached.enable_cache(FirstBlockCacheConfig(threshold=THRESHOLD))
    whole = []
    # The block itself is called at every step, and then does nothing.
    cached.single_transformer_blocks[0].proj_mlp.register_forward_hook(lambda *_: whole.append(None))
    velocities = []
    before = 0
    computed = []
    with cached.cache_context("edit"):
        for sigma in SIGMAS:
            image = (1 - sigma) * inputs["image"] + sigma * noise
            velocities.append(flux.velocity(cached, {**inputs, "image": image, "sigma": torch.tensor([sigma])}))
            computed.append(len(whole) - before)
            before = len(whole)
    arrays = {name: inputs[name] for name in ("image", "text", "vector", "guidance", "grid")}
    arrays |= {"noise": noise, "sigmas": torch.tensor(SIGMAS), "threshold": torch.tensor([THRESHOLD])}
    arrays |= {"computed": torch.tensor(computed, dtype=torch.int32), "velocities": torch.stack(velocities)}
    save(arrays, lines.folder / "cache.safetensors")
    described = f"threshold {THRESHOLD}, {sum(computed)} of {len(SIGMAS)} steps computed whole, {flux.describe(shape)}"
    lines.add("cache", "First-block cache", described, weights=weights, arrays="cache.safetensors")
