"""Writes arrays/adapters/: a transformer in diffusers' layout as shards and in float8, LoRA files in the four key styles, and what
diffusers computes with the weights that the formula W + scale * alpha / rank * B A makes of them.

usage: python test/reference/adapters.py [--seed N] [--out FOLDER] [--heads N --head-size N --doubles N --singles N]
(needs torch and diffusers; at full width: --heads 24 --head-size 128). What another folder holds is compared by
    ACEPP_ADAPTER_ARRAYS=FOLDER npx vitest run test/server/models/adapters.test.ts -t "computes|over"
"""

import argparse
import itertools
import json
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file

arguments = argparse.ArgumentParser()
arguments.add_argument("--seed", type=int, default=11)
arguments.add_argument("--heads", type=int, default=1)
arguments.add_argument("--head-size", type=int, default=32)
arguments.add_argument("--doubles", type=int, default=1)
arguments.add_argument("--singles", type=int, default=2)
arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "arrays" / "adapters")
given = arguments.parse_args()

torch.set_num_threads(1)
HEAD = given.head_size
TEXT_TOKENS, TEXT_WIDTH, VECTOR_WIDTH, ROWS, COLUMNS, IMAGE = 5, 16, 24, 3, 4, 64
width = HEAD * given.heads
last_double, last_single = given.doubles - 1, given.singles - 1
generator = torch.Generator().manual_seed(given.seed)


def noise(*shape):
    return torch.randn(*shape, generator=generator)


def build(columns=IMAGE):
    return FluxTransformer2DModel(
        in_channels=columns,
        out_channels=64,
        num_layers=given.doubles,
        num_single_layers=given.singles,
        attention_head_dim=HEAD,
        num_attention_heads=given.heads,
        joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=VECTOR_WIDTH,
        guidance_embeds=False,
        axes_dims_rope=(HEAD // 8, HEAD * 7 // 16, HEAD * 7 // 16),
    ).eval()


def random_state(model):
    """Weights large enough that every part matters, and exact in bfloat16."""
    state = {}
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.dim() >= 2:
            value = noise(*tensor.shape) * tensor[0].numel() ** -0.5
        elif "norm_" in name and name.endswith("weight"):
            value = 1 + 0.2 * noise(*tensor.shape)
        else:
            value = 0.2 * noise(*tensor.shape)
        state[name] = value.bfloat16().float()
    return state


image, text, vector = noise(ROWS * COLUMNS, IMAGE), noise(TEXT_TOKENS, TEXT_WIDTH), noise(VECTOR_WIDTH)
sigma = torch.tensor([0.61])
ids = torch.zeros(ROWS, COLUMNS, 3)
ids[..., 1] += torch.arange(ROWS)[:, None]
ids[..., 2] += torch.arange(COLUMNS)[None]


def velocity(state, columns=IMAGE):
    model = build(columns)
    model.load_state_dict(state)
    padded = torch.cat([image, noise(ROWS * COLUMNS, columns - IMAGE)], 1)
    output = model(
        hidden_states=padded[None],
        encoder_hidden_states=text[None],
        pooled_projections=vector[None],
        timestep=sigma,
        img_ids=ids.reshape(-1, 3),
        txt_ids=torch.zeros(TEXT_TOKENS, 3),
    )
    return output.sample[0]


def save(name, tensors, metadata=None):
    save_file({key: t.contiguous() for key, t in tensors.items()}, given.out / name, metadata)


def float8(state):
    """As published: with a scale for all rows under either name, with one for each row, without; biases as they are."""
    stored, meant = {}, {}
    kinds = itertools.cycle(["one", "comfy", "rows", "none"])
    for name, tensor in sorted(state.items()):
        if tensor.dim() < 2:
            stored[name] = tensor.to(torch.float8_e4m3fn if name.endswith("bias") else torch.bfloat16)
            meant[name] = stored[name].float()
            continue
        kind = next(kinds)
        largest = tensor.abs().amax(1, keepdim=True) if kind == "rows" else tensor.abs().max()
        scale = torch.ones(()) if kind == "none" else largest / 448
        stored[name] = (tensor / scale).to(torch.float8_e4m3fn)
        meant[name] = stored[name].float() * scale
        if kind != "none":
            key = name.removesuffix("weight") + "scale_weight" if kind == "comfy" else f"{name}_scale"
            stored[key] = scale
    return stored, meant


# Which rows of diffusers' tensors, in this order, the rows of black-forest-labs' are.
D, S = f"transformer_blocks.{last_double}", f"single_transformer_blocks.{last_single}"
D_BFL, S_BFL = f"double_blocks.{last_double}", f"single_blocks.{last_single}"
both, first, second = slice(None), slice(0, width), slice(width, 2 * width)
rows_of = {
    "img_in": [("x_embedder", both)],
    f"{D_BFL}.img_mod.lin": [(f"{D}.norm1.linear", both)],
    f"{D_BFL}.img_attn.qkv": [(f"{D}.attn.to_{x}", both) for x in "qkv"],
    f"{D_BFL}.txt_attn.qkv": [(f"{D}.attn.add_{x}_proj", both) for x in "qkv"],
    f"{D_BFL}.txt_attn.proj": [(f"{D}.attn.to_add_out", both)],
    f"{D_BFL}.txt_mlp.2": [(f"{D}.ff_context.net.2", both)],
    f"{S_BFL}.linear1": [*((f"{S}.attn.to_{x}", both) for x in "qkv"), (f"{S}.proj_mlp", both)],
    f"{S_BFL}.linear2": [(f"{S}.proj_out", both)],
    # shift, then scale; diffusers has them the other way round.
    "final_layer.adaLN_modulation.1": [("norm_out.linear", second), ("norm_out.linear", first)],
}


def add(state, module, value, kind="weight"):
    """Adds rows in black-forest-labs' order to a state in diffusers'."""
    at = 0
    for name, rows in rows_of.get(module, [(module, both)]):
        key = f"{name}.{kind}"
        tensor = state[key].clone()
        count = tensor[rows].shape[0]
        tensor[rows] += value[at : at + count]
        state[key] = tensor
        at += count
    assert at == len(value), module


def joined(state, module, kind="weight"):
    return torch.cat([state[f"{name}.{kind}"][rows] for name, rows in rows_of[module]])


def pair(state, module, rank):
    inputs, outputs = joined(state, module).shape[1], joined(state, module).shape[0]
    return noise(rank, inputs) * inputs**-0.5, noise(outputs, rank) * rank**-0.5


def diffusers_style(state):
    """transformer.<diffusers' module>.lora_A.weight; alpha is the rank."""
    file, merge = {}, []
    modules = [f"{D}.attn.to_q", f"{D}.attn.add_v_proj", f"{D}.norm1.linear", f"{D}.ff.net.0.proj", f"{D}.attn.to_out.0"]
    for module in [*modules, f"{S}.attn.to_k", f"{S}.proj_mlp", "norm_out.linear", "x_embedder", "proj_out"]:
        outputs, inputs = state[f"{module}.weight"].shape
        a, b = noise(2, inputs) * inputs**-0.5, noise(outputs, 2) * 0.7
        file |= {f"transformer.{module}.lora_A.weight": a, f"transformer.{module}.lora_B.weight": b}
        merge.append((module, "weight", b @ a))
    return file, merge


def kohya_style(state):
    """lora_unet_<black-forest-labs' module with underscores>.lora_down.weight, .lora_up.weight and .alpha, in bfloat16"""
    file, merge = {}, []
    for i, module in enumerate([f"{D_BFL}.img_attn.qkv", f"{D_BFL}.img_mod.lin", f"{S_BFL}.linear1", "final_layer.adaLN_modulation.1"]):
        rank, alpha = 3 + i, 2.5 + i
        a, b = (t.bfloat16() for t in pair(state, module, rank))
        key = "lora_unet_" + module.replace(".", "_")
        file |= {f"{key}.lora_down.weight": a, f"{key}.lora_up.weight": b, f"{key}.alpha": torch.tensor(alpha)}
        merge.append((module, "weight", alpha / rank * b.float() @ a.float()))
    return file, merge


def bfl_style(state):
    """<module>.lora_A.weight, .lora_B.weight and .lora_B.bias, as in FLUX.1's own LoRA files, and whole tensors in place of the base's"""
    file, merge = {}, []
    module = f"{D_BFL}.txt_attn.qkv"
    a, b = pair(state, module, 2)
    bias = 0.3 * noise(len(b))
    file |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b, f"{module}.lora_B.bias": bias}
    merge += [(module, "weight", b @ a), (module, "bias", bias)]
    for module, kind in [("img_in", "weight"), (f"{D_BFL}.img_attn.qkv", "weight"), (f"{D_BFL}.img_attn.qkv", "bias"), (f"{S_BFL}.linear2", "bias")]:
        old = joined(state, module, kind)
        new = old + noise(*old.shape) * (0.3 * old.std())
        file[f"{module}.{kind}"] = new
        merge.append((module, kind, new - old))
    norm = f"{D}.attn.norm_q.weight"
    new = 1 + 0.3 * noise(HEAD)
    file[f"{D_BFL}.img_attn.norm.query_norm.scale"] = new
    merge.append((norm.removesuffix(".weight"), "weight", new - state[norm]))
    return file, merge


def swift_style(state):
    """black-forest-labs' names after `model.`"""
    file, merge = {}, []
    for module in [f"{S_BFL}.linear2", f"{S_BFL}.linear1", f"{D_BFL}.txt_attn.proj", f"{D_BFL}.txt_mlp.2"]:
        a, b = pair(state, module, 2)
        file |= {f"model.{module}.lora_A.weight": a.half(), f"model.{module}.lora_B.weight": b.half()}
        merge.append((module, "weight", b.half().float() @ a.half().float()))
    return file, merge


scales = {"diffusers": 0.7, "kohya": 0.9, "bfl": 0.6, "swift": -0.8}
styles = {"diffusers": diffusers_style, "kohya": kohya_style, "bfl": bfl_style, "swift": swift_style}

with torch.no_grad():
    given.out.mkdir(parents=True, exist_ok=True)
    model = build()
    state = random_state(model)
    model.load_state_dict(state)
    model.bfloat16().save_pretrained(given.out / "shards", max_shard_size=sum(t.numel() for t in state.values()))
    (given.out / "shards" / "config.json").unlink()
    expected = {"image": image, "text": text, "vector": vector, "sigma": sigma}
    expected["grid"] = torch.tensor([ROWS, COLUMNS], dtype=torch.float32)
    expected["base"] = velocity(state)

    # Fewer columns are the same as columns of zeros.
    wide = {**state, "x_embedder.weight": torch.cat([state["x_embedder.weight"], torch.zeros(width, 448 - IMAGE)], 1)}
    assert torch.allclose(velocity(wide, 448), expected["base"], atol=1e-5)

    stored, meant = float8(state)
    save("float8.safetensors", stored)
    expected["float8"] = velocity(meant)

    together = dict(state)
    for style, make in styles.items():
        file, merge = make(state)
        save(f"{style}.safetensors", file)
        alone = dict(state)
        for change in merge:
            module, kind, value = change
            add(alone, module, scales[style] * value, kind)
            add(together, module, scales[style] * value, kind)
        expected[style] = velocity(alone)
    expected["together"] = velocity(together)
    save("expected.safetensors", expected, {"scales": json.dumps(scales)})
