"""Random weights, and files of them."""

from contextlib import contextmanager

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


def enlarge(weight):
    """So that what comes out is beyond float16, but the weight itself is not."""
    weight.data = (weight.data * 2**17).clamp(-60000, 60000)


@contextmanager
def largest(module, part):
    """How large the values get that come out of a module, of whose outputs `part` is the one to look at."""
    reached = [0.0]

    def look(_module, _inputs, outputs):
        reached.append(outputs[part].abs().max().item())

    hook = module.register_forward_hook(look)
    yield reached
    hook.remove()


def describe_dtype(dtype, reached):
    """Of a network in float16 with what `largest` found: only one that gets beyond its range shows that nothing overflows."""
    if dtype != "float16":
        return dtype
    assert max(reached) > torch.finfo(torch.float16).max, reached
    return f"float16, values up to {max(reached):.0f}"


def save(tensors, file, metadata=None, dtype=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: t.detach().to(dtype or t.dtype).contiguous() for name, t in tensors.items()}, file, metadata)


DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
