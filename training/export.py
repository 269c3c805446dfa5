"""Writes the files of a model: large linear weights in 8-bit blocks, the rest as float16, norms and biases as float32.

8-bit blocks are laid out as com.microsoft.MatMulNBits takes them: `X.weight` U8 [N, K/64, 64] with
w = (q - 128) * scale, and `X.weight.scales` F32 [N, K/64].
"""

import argparse
import json
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

BLOCK = 64
DTYPES = {torch.uint8: "U8", torch.float16: "F16", torch.float32: "F32"}


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[N, K] -> uint8 [N, K/64, 64] and float32 scales [N, K/64]"""
    blocks = weight.float().unflatten(1, (-1, BLOCK))
    scales = (blocks.abs().amax(-1) / 127).clamp(min=1e-8)
    q = (blocks / scales[..., None]).round() + 128
    return q.clamp(0, 255).to(torch.uint8), scales


def stored(module: nn.Module) -> dict[str, Tensor]:
    """What goes into the file, by key."""
    linear = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    out: dict[str, Tensor] = {}
    for name, tensor in module.named_parameters():
        tensor = tensor.detach()
        if name in linear and tensor.shape[1] % BLOCK == 0:
            out[name], out[f"{name}.scales"] = quantize(tensor)
        else:
            out[name] = tensor.half() if tensor.dim() > 1 else tensor.float()
    return out


def write(file: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """safetensors with every tensor at a multiple of 8 bytes; no tensor's size is left unaligned before another."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict = {"__metadata__": {"format": "pt", **metadata}}
    at = 0
    for name, tensor in ordered:
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    with unfinished.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in ordered:
            out.write(np.ascontiguousarray(tensor.numpy()).tobytes())
    unfinished.replace(file)


def export(models, folder: Path) -> None:
    """`models` as `training.models.Models`; tokenizers are in the folder already."""
    write(folder / "transformer.safetensors", stored(models.transformer), {})
    write(folder / "t5.safetensors", stored(models.t5), {})
    write(folder / "clip.safetensors", stored(models.clip), {})
    autoencoder = models.autoencoder
    numbers = {
        "norm_groups": "8",
        "shift_factor": f"{autoencoder.shift.item():.8g}",
        "scale_factor": f"{autoencoder.scale.item():.8g}",
    }
    write(folder / "ae.safetensors", stored(autoencoder), numbers)


def read(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors as float32, 8-bit blocks dequantized."""
    with safe_open(file, framework="pt") as stored_file:
        tensors = {name: stored_file.get_tensor(name) for name in stored_file.keys()}
        metadata = stored_file.metadata()
    out = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight.scales"):
            continue
        if tensor.dtype == torch.uint8:
            tensor = ((tensor.float() - 128) * tensors[f"{name}.scales"][..., None]).flatten(1)
        out[name] = tensor.float()
    return out, metadata


if __name__ == "__main__":
    from .models import load_work

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/acepp-training"))
    parser.add_argument("--out", type=Path, default=Path("server/pocket"))
    options = parser.parse_args()
    export(load_work(options.work, options.out), options.out)
