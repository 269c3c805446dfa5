"""The same transformer in PyTorch: seconds per step, eager and, on a GPU, compiled. `python -m bench.flux JSON`"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from training.networks import flux as networks


def fused(q, k, v, turns):
    """`networks.attend` with the fused kernel, which is faster for inference."""
    q, k = networks.rotate(q, turns).to(v.dtype), networks.rotate(k, turns).to(v.dtype)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def main(job: dict) -> dict:
    device = "cuda" if job["provider"] == "cuda" else "cpu"
    dtype = getattr(torch, job["type"])
    sinusoidal = networks.sinusoidal
    networks.attend = fused
    networks.sinusoidal = lambda t: sinusoidal(t).to(dtype)
    with torch.device("meta"):
        flux = networks.Flux(job["width"], job["headSize"], job["double"], job["single"], 384, job["textWidth"], job["vectorWidth"])
    flux = flux.to(dtype).to_empty(device=device).eval()
    for parameter in flux.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    given = [torch.randn(1, job["tokens"], 384), torch.randn(1, job["textTokens"], job["textWidth"]), torch.randn(1, job["vectorWidth"])]
    image, text, vector = (x.to(device, dtype) for x in given)
    sigma, guidance = torch.tensor([0.7], device=device), torch.tensor([4.0], device=device)

    def seconds(network) -> float:
        times = []
        for _ in range(job["steps"] + 1):
            begun = time.perf_counter()
            network(image, (1, job["tokens"]), text, vector, sigma, guidance)
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begun)
        return statistics.median(times[1:])

    with torch.inference_mode():
        report = {"eager": seconds(flux)}
        if device == "cuda":
            report["compiled"] = seconds(torch.compile(flux))
    return report


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
