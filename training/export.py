"""Writes pocket: the four networks as safetensors in the official key layouts, large linear weights in 8 bits.

8 bits as ONNX Runtime's MatMulNBits reads them in place: `X.weight` U8 [N, K/64, 64] holds
`clip(round(w / scale) + 128, 0, 255)`, and `X.weight.scales` F32 [N, K/64] the scale of each block.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

BLOCK = 64


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[N, K] -> uint8 [N, K/64, 64], float32 [N, K/64]"""
    blocks = weight.detach().float().unflatten(1, (-1, BLOCK))
    scales = (blocks.abs().amax(-1) / 127).clamp(min=1e-10)
    return ((blocks / scales[..., None]).round() + 128).clamp(0, 255).to(torch.uint8), scales


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Linear weights in 8 bits where their width allows it, embeddings and convolutions in float16, the rest float32."""
    linears = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    tensors = {}
    for key, value in network.state_dict().items():
        if key in linears and value.shape[1] % BLOCK == 0:
            tensors[key], tensors[f"{key}.scales"] = quantize(value.cpu())
        else:
            tensors[key] = value.detach().cpu().to(torch.float16 if value.dim() > 1 else torch.float32).contiguous()
    return tensors


def export(folder: Path, flux: nn.Module, t5: nn.Module, clip: nn.Module) -> None:
    """Writes the three files; the autoencoder and the tokenizers are in `folder` already."""
    for name, network in (("transformer", flux), ("t5", t5), ("clip", clip)):
        save_file(tensors_of(network), folder / f"{name}.safetensors", {"format": "pt"})


def export_autoencoder(folder: Path, autoencoder: nn.Module) -> None:
    tensors = tensors_of(autoencoder)
    shift, scale = tensors.pop("shift_factor"), tensors.pop("scale_factor")
    metadata = {"format": "pt", "norm_groups": str(autoencoder.groups), "shift_factor": str(shift.item()), "scale_factor": str(scale.item())}
    save_file(tensors, folder / "ae.safetensors", metadata)


def load(folder: Path, flux: nn.Module, t5: nn.Module, clip: nn.Module) -> None:
    """Reads back what `export` wrote, to train it further; its autoencoder is read by `checkpoint.load`."""
    for name, network in (("transformer", flux), ("t5", t5), ("clip", clip)):
        with safe_open(folder / f"{name}.safetensors", "pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}
        for key in [key for key in state if f"{key}.scales" in state]:
            scales = state.pop(f"{key}.scales")
            state[key] = ((state[key].float() - 128) * scales[..., None]).flatten(1)
        network.load_state_dict(state)
