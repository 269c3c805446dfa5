"""Random weights, and files of them."""

import torch
from safetensors.torch import save_file


def randomize(model, seed):
    """Weights large enough that every part matters: the default initialisation of some is zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() >= 2:
            parameter.data = noise * parameter[0].numel() ** -0.5
        elif "norm" in name and name.endswith("weight"):
            parameter.data = 1 + 0.2 * noise
        else:
            parameter.data = 0.2 * noise
    return model.eval()


def round_weights(model, dtype):
    """The model computes in float32 with what a file of this dtype keeps of its weights."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).to(torch.float32)
    return model


def save(tensors, file, metadata=None, dtype=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: t.detach().to(dtype or t.dtype).contiguous() for name, t in tensors.items()}, file, metadata)


DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
