"""What a fresh clone resumes from: weights in 8 bits, small enough to be tracked, and what their training has to know."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .networks import AutoEncoder

# Below it a tensor stays as it is: norms and biases are small, and matter.
ROUNDED_FROM = 4096


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """By rows (output channels) to 8 bits. [O, ...] -> int8 [O, ...], float32 [O, 1, ...]"""
    scale = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True).clamp(min=1e-12) / 127
    return (weight / scale).round().to(torch.int8), scale


def save(net: nn.Module, file: Path, rows: Tensor, step: int) -> None:
    """Writes an autoencoder with the principal components that its latents are held to."""
    tensors = {"rows": rows.detach().cpu().contiguous()}
    for key, value in net.state_dict().items():
        value = value.detach().float().cpu().contiguous()
        if value.dim() > 1 and value.numel() >= ROUNDED_FROM:
            tensors[key], tensors[f"{key}.scale"] = rounded(value)
        else:
            tensors[key] = value
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    save_file(tensors, unfinished, {"format": "pt", "step": str(step), "norm_groups": str(net.groups)})
    unfinished.rename(file)


def load(file: Path) -> tuple[AutoEncoder, dict]:
    """Reads what `save` wrote here, or what `export` wrote for the companion. -> the network, `rows` and `step` where there are any"""
    with safe_open(file, "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}
        metadata = opened.metadata()
    kept = {"step": int(metadata.get("step", 0)), "rows": tensors.pop("rows", None)}
    for key in [key for key in tensors if f"{key}.scale" in tensors]:
        tensors[key] = tensors[key].float() * tensors.pop(f"{key}.scale")
    for key in ("shift_factor", "scale_factor"):
        tensors.setdefault(key, torch.tensor(float(metadata.get(key, 0))))
    net = AutoEncoder.like(tensors, int(metadata["norm_groups"]))
    net.load_state_dict({key: value.float() for key, value in tensors.items()})
    return net.eval(), kept


def logger(file: Path) -> Callable[[str], None]:
    """Prints a line with the minutes since now, and appends it to the file."""
    start = time.time()

    def log(message: str) -> None:
        line = f"{(time.time() - start) / 60:6.1f} min  {message}"
        print(line, flush=True)
        with open(file, "a") as opened:
            opened.write(line + "\n")

    return log
