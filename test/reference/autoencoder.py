"""The autoencoder against diffusers' AutoencoderKL, written in black-forest-labs' layout and in its own."""

import re

import torch
from diffusers import AutoencoderKL

from weights import randomize, save

SHIFT, SCALE = 0.1159, 0.3611


def layout(state):
    """AutoencoderKL -> black-forest-labs/flux, modules/autoencoder.py"""
    levels = 4
    out = {}
    for name, tensor in state.items():
        key = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
        key = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", key)
        key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", key)
        key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
        key = key.replace("mid_block.attentions.0.group_norm", "mid.attn_1.norm")
        key = re.sub(r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1", key)
        key = key.replace("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out")
        key = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        is_pointwise = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", key)
        out[key] = tensor[:, :, None, None] if is_pointwise else tensor
    return out


def write(lines, shape, seed):
    """Returns the model, for the edit from end to end."""
    model = AutoencoderKL(
        block_out_channels=shape.channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=shape.layers,
        latent_channels=16,
        norm_num_groups=shape.groups,
        shift_factor=SHIFT,
        scaling_factor=SCALE,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    randomize(model, seed)
    image = torch.rand(3, shape.height, shape.width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    latent = (model.encode(image[None]).latent_dist.mean - SHIFT) * SCALE
    decoded = model.decode(latent / SCALE + SHIFT).sample
    save({"image": image, "latent": latent[0], "decoded": decoded[0]}, lines.folder / "autoencoder.safetensors")
    state, metadata = model.state_dict(), {"norm_groups": str(shape.groups)}
    files = {"black-forest-labs": ("tiny/ae.safetensors", layout(state)), "diffusers": ("autoencoder-weights.safetensors", state)}
    for name, (weights, tensors) in files.items():
        save(tensors, lines.folder / weights, metadata)
        lines.add(
            "autoencoder",
            "Autoencoder",
            f"{shape.width}x{shape.height}, channels {', '.join(map(str, shape.channels))}, {shape.layers} layers, "
            f"{shape.groups} groups, {name}' layout",
            weights=weights,
            arrays="autoencoder.safetensors",
        )
    return model
