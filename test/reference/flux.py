"""FLUX's transformer against diffusers' FluxTransformer2DModel, written in black-forest-labs' layout or in its own."""

import copy

import torch
from diffusers import FluxTransformer2DModel

from weights import DTYPES, describe_dtype, enlarge, largest, randomize, round_weights, save


def layout(state):
    """FluxTransformer2DModel -> black-forest-labs/flux, model.py"""
    out = {}

    def linear(to, source):
        out[f"{to}.weight"] = state[f"{source}.weight"]
        out[f"{to}.bias"] = state[f"{source}.bias"]

    def joined(to, sources):
        for kind in ("weight", "bias"):
            out[f"{to}.{kind}"] = torch.cat([state[f"{source}.{kind}"] for source in sources])

    linear("img_in", "x_embedder")
    linear("txt_in", "context_embedder")
    for to, source in {"time_in": "timestep", "guidance_in": "guidance", "vector_in": "text"}.items():
        if f"time_text_embed.{source}_embedder.linear_1.weight" in state:
            linear(f"{to}.in_layer", f"time_text_embed.{source}_embedder.linear_1")
            linear(f"{to}.out_layer", f"time_text_embed.{source}_embedder.linear_2")

    def count(kind):
        return len({name.split(".")[1] for name in state if name.startswith(f"{kind}.")})

    for i in range(count("transformer_blocks")):
        a, b = f"transformer_blocks.{i}", f"double_blocks.{i}"
        linear(f"{b}.img_mod.lin", f"{a}.norm1.linear")
        linear(f"{b}.txt_mod.lin", f"{a}.norm1_context.linear")
        joined(f"{b}.img_attn.qkv", [f"{a}.attn.to_{x}" for x in "qkv"])
        joined(f"{b}.txt_attn.qkv", [f"{a}.attn.add_{x}_proj" for x in "qkv"])
        for stream, norm in {"img": "norm_", "txt": "norm_added_"}.items():
            out[f"{b}.{stream}_attn.norm.query_norm.scale"] = state[f"{a}.attn.{norm}q.weight"]
            out[f"{b}.{stream}_attn.norm.key_norm.scale"] = state[f"{a}.attn.{norm}k.weight"]
        linear(f"{b}.img_attn.proj", f"{a}.attn.to_out.0")
        linear(f"{b}.txt_attn.proj", f"{a}.attn.to_add_out")
        for stream, ff in {"img": "ff", "txt": "ff_context"}.items():
            linear(f"{b}.{stream}_mlp.0", f"{a}.{ff}.net.0.proj")
            linear(f"{b}.{stream}_mlp.2", f"{a}.{ff}.net.2")
    for i in range(count("single_transformer_blocks")):
        a, b = f"single_transformer_blocks.{i}", f"single_blocks.{i}"
        linear(f"{b}.modulation.lin", f"{a}.norm.linear")
        joined(f"{b}.linear1", [*(f"{a}.attn.to_{x}" for x in "qkv"), f"{a}.proj_mlp"])
        linear(f"{b}.linear2", f"{a}.proj_out")
        out[f"{b}.norm.query_norm.scale"] = state[f"{a}.attn.norm_q.weight"]
        out[f"{b}.norm.key_norm.scale"] = state[f"{a}.attn.norm_k.weight"]
    for kind in ("weight", "bias"):
        # diffusers has the scale first.
        scale, shift = state[f"norm_out.linear.{kind}"].chunk(2)
        out[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat([shift, scale])
    linear("final_layer.linear", "proj_out")
    return out


LAYOUTS = {"black-forest-labs": layout, "diffusers": dict}


def make(shape, text_width, vector_width, seed):
    with torch.device("meta"):
        model = FluxTransformer2DModel(
            in_channels=shape.columns,
            out_channels=64,
            num_layers=shape.double,
            num_single_layers=shape.single,
            attention_head_dim=shape.head_size,
            num_attention_heads=shape.heads,
            joint_attention_dim=text_width,
            pooled_projection_dim=vector_width,
            guidance_embeds=shape.guidance,
            axes_dims_rope=(shape.head_size // 8, shape.head_size * 7 // 16, shape.head_size * 7 // 16),
        )
    randomize(model.to_empty(device="cpu"), seed)
    if shape.dtype == "float16":
        # The text's part of the stream, which the published float16 code clamps here.
        enlarge(model.transformer_blocks[-1].ff_context.net[2].weight)
    return round_weights(model, DTYPES[shape.dtype])


def draw_inputs(shape, text_width, vector_width, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randn(shape.rows * shape.width, shape.columns, generator=generator),
        "text": torch.randn(shape.text_tokens, text_width, generator=generator),
        "vector": torch.randn(vector_width, generator=generator),
        "sigma": torch.tensor([0.73]),
        "guidance": torch.tensor([4.5]),
        "grid": torch.tensor([shape.rows, shape.width], dtype=torch.float32),
    }


def velocity(model, inputs):
    """[rows * columns, 64]"""
    rows, columns = (int(size) for size in inputs["grid"])
    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] += torch.arange(rows)[:, None]
    ids[..., 2] += torch.arange(columns)[None]
    return model(
        hidden_states=inputs["image"][None],
        encoder_hidden_states=inputs["text"][None],
        pooled_projections=inputs["vector"][None],
        timestep=inputs["sigma"],
        guidance=inputs["guidance"] if model.config.guidance_embeds else None,
        img_ids=ids.reshape(-1, 3),
        txt_ids=torch.zeros(len(inputs["text"]), 3),
    ).sample[0]


def in_float16(model, inputs):
    """What the published code gives where all is computed in float16, which it clamps."""
    halved = {name: value if name == "grid" else value.half() for name, value in inputs.items()}
    return velocity(copy.deepcopy(model).half(), halved).float()


def describe(shape):
    return (
        f"{shape.columns} columns, guidance {'on' if shape.guidance else 'off'}, {shape.heads} x {shape.head_size} wide heads, "
        f"{shape.double} + {shape.single} blocks, {shape.text_tokens} text + {shape.rows}x{shape.width} image tokens"
    )


def write(lines, shape, name, weights, text_width, vector_width, seed):
    """Returns the model, for the edit from end to end."""
    model = make(shape, text_width, vector_width, seed)
    # As wide as FLUX.1, but with fewer blocks: else the file would count as an incomplete FLUX.1.
    blocks = {"double_blocks": str(shape.double), "single_blocks": str(shape.single)} if shape.hidden == 3072 else None
    save(LAYOUTS[shape.layout](model.state_dict()), lines.folder / weights, blocks, DTYPES[shape.dtype])
    inputs = draw_inputs(shape, text_width, vector_width, seed)
    with largest(model.transformer_blocks[-1], part=0) as reached:
        expected = velocity(model, inputs)
    arrays = {**inputs, "velocity": expected}
    if shape.dtype == "float16":
        arrays["clamped"] = in_float16(model, inputs)
    save(arrays, lines.folder / f"{name}.safetensors")
    lines.add(
        "flux",
        "FLUX transformer",
        f"{describe(shape)}, {shape.layout}' layout, {describe_dtype(shape.dtype, reached)}",
        weights=weights,
        arrays=f"{name}.safetensors",
        output="velocity",
        adapters={},
    )
    return model
