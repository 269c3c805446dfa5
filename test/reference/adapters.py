"""Adapters: a transformer in diffusers' layout as shards and in float8, LoRA files in the four key styles, and what diffusers
computes with the weights that the formula W + scale * alpha / rank * B A makes of them."""

import copy
import itertools
import json
from dataclasses import replace

import torch
from safetensors.torch import save_file

import flux

TEXT_WIDTH, VECTOR_WIDTH = 16, 24
SCALES = {"diffusers": 0.7, "kohya": 0.9, "bfl": 0.6, "swift": -0.8}
SHARDS = "shards/diffusion_pytorch_model.safetensors"


class Adapters:
    def __init__(self, folder, shape, seed):
        self.folder, self.shape, self.seed = folder, shape, seed
        self.generator = torch.Generator().manual_seed(seed)
        self.double, self.single = f"transformer_blocks.{shape.double - 1}", f"single_transformer_blocks.{shape.single - 1}"
        self.bfl_double, self.bfl_single = f"double_blocks.{shape.double - 1}", f"single_blocks.{shape.single - 1}"
        self.rows_of = self.rows_by_module()
        self.model = flux.make(shape, TEXT_WIDTH, VECTOR_WIDTH, seed)
        self.inputs = flux.draw_inputs(shape, TEXT_WIDTH, VECTOR_WIDTH, seed)

    def rows_by_module(self):
        """Which rows of diffusers' tensors, in this order, the rows of black-forest-labs' are."""
        D, S, D_BFL, S_BFL, width = self.double, self.single, self.bfl_double, self.bfl_single, self.shape.hidden
        both, first, second = slice(None), slice(0, width), slice(width, 2 * width)
        return {
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

    def noise(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def velocity(self, state):
        model = copy.deepcopy(self.model)
        model.load_state_dict(state)
        return flux.velocity(model, self.inputs)

    def velocity_in_448_columns(self, state):
        """With zeros for the columns that the weights do not have, and noise in those of the image."""
        model = flux.make(replace(self.shape, columns=448), TEXT_WIDTH, VECTOR_WIDTH, self.seed)
        missing = 448 - self.shape.columns
        zeros = torch.zeros(self.shape.hidden, missing)
        model.load_state_dict({**state, "x_embedder.weight": torch.cat([state["x_embedder.weight"], zeros], 1)})
        image = self.inputs["image"]
        return flux.velocity(model, {**self.inputs, "image": torch.cat([image, self.noise(len(image), missing)], 1)})

    def save(self, name, tensors, metadata=None):
        save_file({key: t.detach().clone().contiguous() for key, t in tensors.items()}, self.folder / name, metadata)

    def metadata(self):
        """64 columns alone would be FLUX.1-dev, which cannot edit; and fewer blocks than FLUX.1's an incomplete file."""
        return {"input_columns": "384", "double_blocks": str(self.shape.double), "single_blocks": str(self.shape.single)}

    def describe_index(self):
        index = self.folder / f"{SHARDS}.index.json"
        content = json.loads(index.read_text())
        content["metadata"] |= self.metadata()
        index.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")

    @staticmethod
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

    def add(self, state, module, value, kind="weight"):
        """Adds rows in black-forest-labs' order to a state in diffusers'."""
        at = 0
        for name, rows in self.rows_of.get(module, [(module, slice(None))]):
            key = f"{name}.{kind}"
            tensor = state[key].clone()
            count = tensor[rows].shape[0]
            tensor[rows] += value[at : at + count]
            state[key] = tensor
            at += count
        assert at == len(value), module

    def joined(self, state, module, kind="weight"):
        return torch.cat([state[f"{name}.{kind}"][rows] for name, rows in self.rows_of[module]])

    def pair(self, state, module, rank):
        inputs, outputs = self.joined(state, module).shape[1], self.joined(state, module).shape[0]
        return self.noise(rank, inputs) * inputs**-0.5, self.noise(outputs, rank) * rank**-0.5

    def diffusers_style(self, state):
        """transformer.<diffusers' module>.lora_A.weight; alpha is the rank."""
        file, merge = {}, []
        double = [f"{self.double}.{name}" for name in ("attn.to_q", "attn.add_v_proj", "norm1.linear", "ff.net.0.proj", "attn.to_out.0")]
        single = [f"{self.single}.{name}" for name in ("attn.to_k", "proj_mlp")]
        for module in [*double, *single, "norm_out.linear", "x_embedder", "proj_out"]:
            outputs, inputs = state[f"{module}.weight"].shape
            a, b = self.noise(2, inputs) * inputs**-0.5, self.noise(outputs, 2) * 0.7
            file |= {f"transformer.{module}.lora_A.weight": a, f"transformer.{module}.lora_B.weight": b}
            merge.append((module, "weight", b @ a))
        return file, merge

    def kohya_style(self, state):
        """lora_unet_<black-forest-labs' module with underscores>.lora_down.weight, .lora_up.weight and .alpha, in bfloat16"""
        file, merge = {}, []
        double = [f"{self.bfl_double}.{name}" for name in ("img_attn.qkv", "img_mod.lin")]
        for i, module in enumerate([*double, f"{self.bfl_single}.linear1", "final_layer.adaLN_modulation.1"]):
            rank, alpha = 3 + i, 2.5 + i
            a, b = (t.bfloat16() for t in self.pair(state, module, rank))
            key = "lora_unet_" + module.replace(".", "_")
            file |= {f"{key}.lora_down.weight": a, f"{key}.lora_up.weight": b, f"{key}.alpha": torch.tensor(alpha)}
            merge.append((module, "weight", alpha / rank * b.float() @ a.float()))
        return file, merge

    def bfl_style(self, state):
        """<module>.lora_A.weight, .lora_B.weight and .lora_B.bias, as in FLUX.1's own LoRA files, and whole tensors in place of the base's"""
        file, merge = {}, []
        module = f"{self.bfl_double}.txt_attn.qkv"
        a, b = self.pair(state, module, 2)
        bias = 0.3 * self.noise(len(b))
        file |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b, f"{module}.lora_B.bias": bias}
        merge += [(module, "weight", b @ a), (module, "bias", bias)]
        qkv = f"{self.bfl_double}.img_attn.qkv"
        for module, kind in [("img_in", "weight"), (qkv, "weight"), (qkv, "bias"), (f"{self.bfl_single}.linear2", "bias")]:
            old = self.joined(state, module, kind)
            new = old + self.noise(*old.shape) * (0.3 * old.std())
            file[f"{module}.{kind}"] = new
            merge.append((module, kind, new - old))
        norm = f"{self.double}.attn.norm_q.weight"
        new = 1 + 0.3 * self.noise(self.shape.head_size)
        file[f"{self.bfl_double}.img_attn.norm.query_norm.scale"] = new
        merge.append((norm.removesuffix(".weight"), "weight", new - state[norm]))
        return file, merge

    def swift_style(self, state):
        """black-forest-labs' names after `model.`"""
        file, merge = {}, []
        single = [f"{self.bfl_single}.{name}" for name in ("linear2", "linear1")]
        for module in [*single, f"{self.bfl_double}.txt_attn.proj", f"{self.bfl_double}.txt_mlp.2"]:
            a, b = self.pair(state, module, 2)
            file |= {f"model.{module}.lora_A.weight": a.half(), f"model.{module}.lora_B.weight": b.half()}
            merge.append((module, "weight", b.half().float() @ a.half().float()))
        return file, merge

    def write(self, lines):
        self.folder.mkdir(parents=True, exist_ok=True)
        state = self.model.state_dict()
        in_bfloat16 = copy.deepcopy(self.model).bfloat16()
        in_bfloat16.save_pretrained(self.folder / "shards", max_shard_size=sum(t.numel() for t in state.values()))
        (self.folder / "shards" / "config.json").unlink()
        self.describe_index()
        expected = {**self.inputs, "base": self.velocity(state)}
        assert torch.allclose(self.velocity_in_448_columns(state), expected["base"], atol=1e-5)

        in_float8, meant = self.float8(state)
        self.save("float8.safetensors", in_float8, self.metadata())
        expected["float8"] = self.velocity(meant)

        together = dict(state)
        for style, scale in SCALES.items():
            file, merge = getattr(self, f"{style}_style")(state)
            self.save(f"{style}.safetensors", file)
            alone = dict(state)
            for module, kind, value in merge:
                self.add(alone, module, scale * value, kind)
                self.add(together, module, scale * value, kind)
            expected[style] = self.velocity(alone)
        expected["together"] = self.velocity(together)
        self.save("expected.safetensors", expected)

        def line(configuration, weights, output, scales):
            files = {f"adapters/{style}.safetensors": scale for style, scale in scales.items()}
            lines.add(
                "flux", "FLUX with adapters" if scales else "FLUX transformer", f"{configuration}, {flux.describe(self.shape)}",
                weights=f"adapters/{weights}", arrays="adapters/expected.safetensors", output=output, adapters=files,
            )  # fmt: skip

        line("diffusers' layout, shards, bfloat16", SHARDS, "base", {})
        line("diffusers' layout, float8 with and without scales", "float8.safetensors", "float8", {})
        for style, scale in SCALES.items():
            line(f"{style} style, scale {scale}", SHARDS, style, {style: scale})
        line("all four at once", SHARDS, "together", SCALES)


def write(lines, shape, seed):
    """@param shape of the transformer, in bfloat16"""
    Adapters(lines.folder / "adapters", shape, seed).write(lines)
