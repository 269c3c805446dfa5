"""One edit by pocket in PyTorch, networks only: encoders, steps, decoder. `python -m bench.edit JSON`

Prints a line after the first edit, then the median seconds of the following ones.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import torch

from training import checkpoint
from training.export import load
from training.networks import AutoEncoder
from training.networks import flux as networks
from training.objective import pack
from training.tokenizers import TextTokens
from training.train import new_model

from .flux import fused


def edit(model, autoencoder: AutoEncoder, job: dict) -> torch.Tensor:
    """-> the target [1, 3, H, W]"""
    rows, columns = job["rows"], job["referenceColumns"] + job["columns"]
    t5_tokens, clip_tokens = model.tokens([job["instruction"]])
    text, vector = model.t5(t5_tokens), model.clip(clip_tokens)
    picture = torch.rand(1, 3, 16 * rows, 16 * columns) * 2 - 1
    condition = torch.cat([pack(autoencoder.encode(picture)), torch.ones(1, rows * columns, 256)], dim=-1)
    x, guidance = torch.randn(1, rows * columns, 64), torch.tensor([float(job["guidance"])])
    for n in range(job["steps"]):
        sigma = 1 - n / job["steps"]
        velocity = model.flux(torch.cat([x, condition], dim=-1), (rows, columns), text, vector, torch.tensor([sigma]), guidance)
        x = x - velocity / job["steps"]
    latent = torch.nn.functional.pixel_shuffle(x.transpose(1, 2).unflatten(2, (rows, columns)), 2)
    return autoencoder.decode(latent[..., 2 * job["referenceColumns"] :])


def main(job: dict) -> None:
    networks.attend = fused
    pocket = Path("server/pocket")
    model, (autoencoder, _) = new_model(TextTokens(pocket)), checkpoint.load(pocket / "ae.safetensors")
    load(pocket, model.flux, model.t5, model.clip)
    times = []
    with torch.inference_mode():
        for n in range(job["times"] + 1):
            begun = time.perf_counter()
            edit(model, autoencoder, job)
            times.append(time.perf_counter() - begun)
            if n == 0:
                print("done", flush=True)
    print(statistics.median(times[1:]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
