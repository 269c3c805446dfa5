"""Adapters: a transformer in diffusers' layout as shards and in float8, LoRA files in the four key styles, and what diffusers
computes with the weights that the formula W + scale * alpha / rank * B A makes of them."""

import itertools

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file

TEXT_WIDTH, VECTOR_WIDTH = 16, 24
SCALES = {"diffusers": 0.7, "kohya": 0.9, "bfl": 0.6, "swift": -0.8}
SHARDS = "shards/diffusion_pytorch_model.safetensors"


class Adapters:
    def __init__(self, folder, shape, seed):
        self.folder, self.shape = folder, shape
        self.generator = torch.Generator().manual_seed(seed)
        self.double, self.single = f"transformer_blocks.{shape.double - 1}", f"single_transformer_blocks.{shape.single - 1}"
        self.bfl_double, self.bfl_single = f"double_blocks.{shape.double - 1}", f"single_blocks.{shape.single - 1}"
        self.rows_of = self.rows_by_module()
        tokens = shape.rows * shape.width
        self.inputs = {
            "image": self.noise(tokens, shape.columns),
            "text": self.noise(shape.text_tokens, TEXT_WIDTH),
            "vector": self.noise(VECTOR_WIDTH),
            "sigma": torch.tensor([0.61]),
            "grid": torch.tensor([shape.rows, shape.width], dtype=torch.float32),
        }

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

    def build(self, columns):
        head = self.shape.head_size
        return FluxTransformer2DModel(
            in_channels=columns,
            out_channels=64,
            num_layers=self.shape.double,
            num_single_layers=self.shape.single,
            attention_head_dim=head,
            num_attention_heads=self.shape.heads,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=VECTOR_WIDTH,
            guidance_embeds=False,
            axes_dims_rope=(head // 8, head * 7 // 16, head * 7 // 16),
        ).eval()

    def random_state(self, model):
        """Weights large enough that every part matters, and exact in bfloat16."""
        state = {}
        for name, tensor in sorted(model.state_dict().items()):
            if tensor.dim() >= 2:
                value = self.noise(*tensor.shape) * tensor[0].numel() ** -0.5
            elif "norm_" in name and name.endswith("weight"):
                value = 1 + 0.2 * self.noise(*tensor.shape)
            else:
                value = 0.2 * self.noise(*tensor.shape)
            state[name] = value.bfloat16().float()
        return state

    def velocity(self, state, columns=None):
        """[rows * columns, 64]; columns of the image that its weights do not have yet are noise."""
        columns = columns or self.shape.columns
        model = self.build(columns)
        model.load_state_dict(state)
        image = self.inputs["image"]
        padded = torch.cat([image, self.noise(len(image), columns - self.shape.columns)], 1)
        rows, width = self.shape.rows, self.shape.width
        ids = torch.zeros(rows, width, 3)
        ids[..., 1] += torch.arange(rows)[:, None]
        ids[..., 2] += torch.arange(width)[None]
        output = model(
            hidden_states=padded[None],
            encoder_hidden_states=self.inputs["text"][None],
            pooled_projections=self.inputs["vector"][None],
            timestep=self.inputs["sigma"],
            img_ids=ids.reshape(-1, 3),
            txt_ids=torch.zeros(self.shape.text_tokens, 3),
        )
        return output.sample[0]

    def save(self, name, tensors, metadata=None):
        save_file({key: t.contiguous() for key, t in tensors.items()}, self.folder / name, metadata)

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
        modules = [f"{self.double}.attn.to_q", f"{self.double}.attn.add_v_proj", f"{self.double}.norm1.linear", f"{self.double}.ff.net.0.proj", f"{self.double}.attn.to_out.0"]
        for module in [*modules, f"{self.single}.attn.to_k", f"{self.single}.proj_mlp", "norm_out.linear", "x_embedder", "proj_out"]:
            outputs, inputs = state[f"{module}.weight"].shape
            a, b = self.noise(2, inputs) * inputs**-0.5, self.noise(outputs, 2) * 0.7
            file |= {f"transformer.{module}.lora_A.weight": a, f"transformer.{module}.lora_B.weight": b}
            merge.append((module, "weight", b @ a))
        return file, merge

    def kohya_style(self, state):
        """lora_unet_<black-forest-labs' module with underscores>.lora_down.weight, .lora_up.weight and .alpha, in bfloat16"""
        file, merge = {}, []
        for i, module in enumerate([f"{self.bfl_double}.img_attn.qkv", f"{self.bfl_double}.img_mod.lin", f"{self.bfl_single}.linear1", "final_layer.adaLN_modulation.1"]):
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
        for module, kind in [("img_in", "weight"), (f"{self.bfl_double}.img_attn.qkv", "weight"), (f"{self.bfl_double}.img_attn.qkv", "bias"), (f"{self.bfl_single}.linear2", "bias")]:
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
        for module in [f"{self.bfl_single}.linear2", f"{self.bfl_single}.linear1", f"{self.bfl_double}.txt_attn.proj", f"{self.bfl_double}.txt_mlp.2"]:
            a, b = self.pair(state, module, 2)
            file |= {f"model.{module}.lora_A.weight": a.half(), f"model.{module}.lora_B.weight": b.half()}
            merge.append((module, "weight", b.half().float() @ a.half().float()))
        return file, merge

    def write(self, lines):
        self.folder.mkdir(parents=True, exist_ok=True)
        model = self.build(self.shape.columns)
        state = self.random_state(model)
        model.load_state_dict(state)
        model.bfloat16().save_pretrained(self.folder / "shards", max_shard_size=sum(t.numel() for t in state.values()))
        (self.folder / "shards" / "config.json").unlink()
        expected = {**self.inputs, "base": self.velocity(state)}

        # Fewer columns are the same as columns of zeros.
        zeros = torch.zeros(self.shape.hidden, 448 - self.shape.columns)
        wide = {**state, "x_embedder.weight": torch.cat([state["x_embedder.weight"], zeros], 1)}
        assert torch.allclose(self.velocity(wide, 448), expected["base"], atol=1e-5)

        stored, meant = self.float8(state)
        self.save("float8.safetensors", stored)
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

        shape = f"{self.shape.heads} x {self.shape.head_size} wide heads, {self.shape.double} + {self.shape.single} blocks"

        def line(configuration, weights, output, scales):
            files = {f"adapters/{style}.safetensors": scale for style, scale in scales.items()}
            lines.add(
                "flux", "FLUX with adapters" if scales else "FLUX transformer", f"{configuration}, {shape}",
                weights=f"adapters/{weights}", arrays="adapters/expected.safetensors", output=output, adapters=files,
            )  # fmt: skip

        line("diffusers' layout, shards, bfloat16", SHARDS, "base", {})
        line("diffusers' layout, float8 with and without scales", "float8.safetensors", "float8", {})
        for style, scale in SCALES.items():
            line(f"{style} style, scale {scale}", SHARDS, style, {style: scale})
        line("all four at once", SHARDS, "together", SCALES)


def write(lines, shape, seed):
    """@param shape of the transformer; 64 columns, no guidance"""
    Adapters(lines.folder / "adapters", shape, seed).write(lines)
