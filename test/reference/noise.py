"""Writes arrays/noise.safetensors: torch's own noise and diffusers' FLUX schedule, to compare with.

usage: python test/reference/noise.py   (needs torch and diffusers)
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.numpy import save_file

arrays = {}

for seed, counts in {0: (5, 15, 16, 20, 100, 1024), 7: (37, 2304), 4294967295: (64,)}.items():
    for count in counts:
        torch.manual_seed(seed)
        arrays[f"randn.{seed}.{count}"] = torch.randn(count).numpy()

for steps, tokens in ((28, 4096), (12, 144)):
    # The settings of FLUX.1-Fill-dev's scheduler_config.json; mu as in FluxFillPipeline (calculate_shift).
    scheduler = FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256, base_shift=0.5, max_image_seq_len=4096, max_shift=1.15, shift=3.0, use_dynamic_shifting=True
    )
    mu = 0.5 + (tokens - 256) * (1.15 - 0.5) / (4096 - 256)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    arrays[f"schedule.{steps}.{tokens}"] = scheduler.sigmas.numpy()

save_file(arrays, Path(__file__).parent / "arrays" / "noise.safetensors")
