"""Adapters in other forms than pairs of matrices, in other names, and for text encoders: against PEFT (DoRA, patterns, text encoders),
lycoris-lora (LoKr, LoHa, `diff`, norms, DoRA of all of them) and diffusers (pairs of FLUX.1-dev's 64 columns, XLabs' names)."""

import copy
import json
from dataclasses import replace

import torch
from diffusers.loaders import FluxLoraLoaderMixin
from diffusers.loaders.lora_conversion_utils import _convert_xlabs_flux_lora_to_diffusers
from lycoris.modules.full import FullModule
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file

import flux
from adapters import Adapters
from weights import save

BASE = "base.safetensors"
# Columns of FLUX.1-dev's x_embedder, which adapters that were made for it know.
DEV_COLUMNS = 64


class Forms(Adapters):
    def linear(self, state, module):
        """The layer of either layout, with its own weights."""
        if module in self.rows_of:
            weight, bias = self.joined(state, module), self.joined(state, module, "bias")
        else:
            weight, bias = state[f"{module}.weight"], state[f"{module}.bias"]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
        return layer

    def small(self, *shape):
        return self.noise(*shape) * shape[-1] ** -0.5

    def merged(self, state, changed, key, module, factors, kind):
        """What lycoris makes of a layer, added to a state; returns the file's tensors."""
        layer = self.linear(state, module)
        made = kind.make_module_from_state_dict(key, layer, *factors)
        self.add(changed, module, self.weight_of(made, layer) - layer.weight)

    @staticmethod
    def weight_of(made, layer):
        """What it computes with; `get_merged_weight` of lycoris-lora 4.1.3 multiplies LoHa and LoKr by alpha / rank twice."""
        return (made.eval()(torch.eye(layer.in_features)) - layer.bias).T

    def lokr(self, state):
        """LyCORIS' and SimpleTuner's names, ComfyUI's prefix"""
        file, changed, D = {}, dict(state), self.shape.hidden
        double, single = self.double, self.single
        rank = 1
        cases = {
            # Both whole: alpha does not count.
            f"{self.bfl_double}.img_attn.qkv": dict(lokr_w1=self.small(4, 4), lokr_w2=self.small(3 * D // 4, D // 4)),
            f"{double}.attn.to_out.0": dict(
                lokr_w1=self.small(4, 4), lokr_w2_a=self.small(D // 4, rank), lokr_w2_b=self.small(rank, D // 4)
            ),
            f"{single}.attn.to_k": dict(
                lokr_w1_a=self.small(4, rank), lokr_w1_b=self.small(rank, 4),
                lokr_w2_a=self.small(D // 4, rank), lokr_w2_b=self.small(rank, D // 4),
            ),
        }  # fmt: skip
        names = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")
        for module, tensors in cases.items():
            key, alpha = "lycoris_" + module.replace(".", "_"), torch.tensor(1.5)
            factors = [tensors.get(name) for name in names]
            self.merged(state, changed, key, module, [*factors, None, None, alpha, None], LokrModule)
            file |= {f"{key}.{name}": tensor for name, tensor in tensors.items()} | {f"{key}.alpha": alpha}
        return file, changed

    def loha(self, state):
        """kohya's names; one of a rank so high that the whole matrix is cheaper"""
        file, changed = {}, dict(state)
        for module, rank in ((f"{self.bfl_double}.txt_attn.qkv", 2), (f"{self.bfl_single}.linear2", 7)):
            layer = self.linear(state, module)
            outputs, inputs = layer.weight.shape
            key, alpha = "lora_unet_" + module.replace(".", "_"), torch.tensor(1.25)
            pairs = [self.noise(outputs, rank), self.small(rank, inputs), self.noise(outputs, rank), self.small(rank, inputs)]
            self.merged(state, changed, key, module, [*pairs, None, None, alpha, None], LohaModule)
            names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
            file |= {f"{key}.{name}": tensor for name, tensor in zip(names, pairs)} | {f"{key}.alpha": alpha}
        return file, changed

    def full(self, state):
        """`diff` and `diff_b` of a layer, and what ComfyUI's names make of a norm"""
        file, changed = {}, dict(state)
        module = f"{self.bfl_single}.linear1"
        layer = self.linear(state, module)
        outputs, inputs = layer.weight.shape
        diff, diff_b = self.small(outputs, inputs), 0.3 * self.noise(outputs)
        made = FullModule.make_module_from_state_dict("full", layer, diff, diff_b)
        weight, bias = made.get_diff_weight(1)
        self.add(changed, module, weight)
        self.add(changed, module, bias, "bias")
        key = f"diffusion_model.{module}"
        file |= {f"{key}.diff": diff, f"{key}.diff_b": diff_b}
        norm = f"{self.double}.attn.norm_k"
        w_norm = 0.2 * self.noise(self.shape.head_size)
        changed[f"{norm}.weight"] = state[f"{norm}.weight"] + w_norm
        file["lora_unet_" + norm.replace(".", "_") + ".w_norm"] = w_norm
        return file, changed

    def dora_of_lycoris(self, state):
        """DoRA of a pair, a LoHa and a LoKr, over rows (OneTrainer's names) and over columns"""
        file, changed, D = {}, dict(state), self.shape.hidden
        alpha = torch.tensor(1.5)

        def magnitude(module, axis=1):
            weight = self.linear(state, module).weight
            return weight.norm(dim=axis, keepdim=True) * (1 + 0.3 * self.noise(*weight.norm(dim=axis, keepdim=True).shape))

        module = f"{self.double}.attn.to_q"
        key = "lora_transformer_" + module.replace(".", "_")
        up, down, scale = self.noise(D, 2), self.small(2, D), magnitude(module)
        self.merged(state, changed, key, module, [up, down, None, alpha, scale], LoConModule)
        file |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down, f"{key}.alpha": alpha, f"{key}.dora_scale": scale}

        module = f"{self.bfl_double}.txt_attn.qkv"
        key = "lycoris_" + module.replace(".", "_")
        pairs = [self.noise(3 * D, 2), self.small(2, D), self.noise(3 * D, 2), self.small(2, D)]
        scale = magnitude(module)
        self.merged(state, changed, key, module, [*pairs, None, None, alpha, scale], LohaModule)
        names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
        file |= {f"{key}.{name}": tensor for name, tensor in zip(names, pairs)} | {f"{key}.alpha": alpha, f"{key}.dora_scale": scale}

        module = f"{self.single}.attn.to_v"
        key = "lycoris_" + module.replace(".", "_")
        left, right, scale = self.small(4, 4), self.small(D // 4, D // 4), magnitude(module)
        self.merged(state, changed, key, module, [left, None, None, right, None, None, None, None, alpha, scale], LokrModule)
        file |= {f"{key}.lokr_w1": left, f"{key}.lokr_w2": right, f"{key}.alpha": alpha, f"{key}.dora_scale": scale}

        module = f"{self.double}.ff.net.2"
        key = "lycoris_" + module.replace(".", "_")
        layer = self.linear(state, module)
        up, down, scale = self.noise(layer.weight.shape[0], 2), self.small(2, layer.weight.shape[1]), magnitude(module, axis=0)
        made = LoConModule("columns", layer, 1, 2, float(alpha), weight_decompose=True, wd_on_out=False)
        made.lora_up.weight.data.copy_(up)
        made.lora_down.weight.data.copy_(down)
        made.dora_scale.data.copy_(scale)
        self.add(changed, module, self.weight_of(made, layer) - layer.weight)
        file |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down, f"{key}.alpha": alpha, f"{key}.dora_scale": scale}
        return file, changed

    def peft(self, state):
        """DoRA by PEFT, with its patterns as diffusers writes them into the metadata; what is null stands at its default"""
        config = dict(
            r=2, lora_alpha=3, use_dora=True, target_modules=["attn.to_q", "attn.to_k", "ff.net.0.proj", "proj_out"],
            rank_pattern={r"transformer_blocks\.\d+\.ff\.net\.0\.proj": 4}, alpha_pattern={r"attn\.to_[qk]": 5, "to_k": 7},
        )  # fmt: skip
        model = inject_adapter_in_model(LoraConfig(**config), copy.deepcopy(self.model), "default")
        for name, parameter in sorted(model.named_parameters()):
            if "lora_magnitude_vector" in name:
                parameter.data *= 1 + 0.3 * self.noise(*parameter.shape)
            elif "lora_" in name:
                parameter.data = self.small(*parameter.shape)
        file = {f"transformer.{key}": value for key, value in get_peft_model_state_dict(model).items()}
        written = {f"transformer.{key}": value for key, value in config.items()} | {"transformer.use_rslora": None}
        return file, flux.velocity(model, self.inputs), {"lora_adapter_metadata": json.dumps(written)}

    def of_dev(self, state):
        """A pair of 64 columns, as FLUX.1-Turbo-Alpha has one, which diffusers expands with zeros"""
        changed, D = dict(state), self.shape.hidden
        pair = {"transformer.x_embedder.lora_A.weight": self.small(2, DEV_COLUMNS), "transformer.x_embedder.lora_B.weight": self.noise(D, 2)}
        expanded = FluxLoraLoaderMixin._maybe_expand_lora_state_dict(self.model, dict(pair))
        a, b = (expanded[f"transformer.x_embedder.lora_{x}.weight"] for x in "AB")
        changed["x_embedder.weight"] = state["x_embedder.weight"] + b @ a
        return pair, changed

    def xlabs(self, state):
        """double_blocks.N.processor.qkv_lora1.down.weight and others"""
        file, changed, D = {}, dict(state), self.shape.hidden
        double, single = f"{self.bfl_double}.processor", f"{self.bfl_single}.processor"
        sizes = {f"{double}.qkv_lora1": (3 * D, D), f"{double}.proj_lora1": (D, D), f"{double}.qkv_lora2": (3 * D, D),
                 f"{double}.proj_lora2": (D, D), f"{single}.qkv_lora": (3 * D, D), f"{single}.proj_lora": (D, 5 * D)}  # fmt: skip
        for key, (outputs, inputs) in sizes.items():
            file |= {f"{key}.down.weight": self.small(2, inputs), f"{key}.up.weight": self.noise(outputs, 2)}
        converted = _convert_xlabs_flux_lora_to_diffusers(dict(file))
        for key, b in converted.items():
            if ".lora_B." not in key:
                continue
            module = key.removeprefix("transformer.").removesuffix(".lora_B.weight")
            changed[f"{module}.weight"] = changed[f"{module}.weight"] + b @ converted[key.replace("lora_B", "lora_A")]
        return file, changed

    def write(self, lines):
        self.folder.mkdir(parents=True, exist_ok=True)
        state = self.model.state_dict()
        save(state, self.folder / BASE, self.metadata() | {"input_columns": str(self.shape.columns)}, torch.bfloat16)
        expected = {**self.inputs, "base": self.velocity(state)}

        def line(name, what, scale):
            lines.add(
                "flux", "FLUX with adapters", f"{what}, scale {scale}, {flux.describe(self.shape)}",
                weights=f"forms/{BASE}", arrays="forms/expected.safetensors", output=name, adapters={f"forms/{name}.safetensors": scale},
            )  # fmt: skip

        cases = {
            "lokr": (self.lokr, "LoKr", 0.8),
            "loha": (self.loha, "LoHa", -0.7),
            "full": (self.full, "diff, diff_b and w_norm", 0.6),
            "dora_of_lycoris": (self.dora_of_lycoris, "DoRA of lycoris", 1),
            "of_dev": (self.of_dev, "a pair of 64 columns", 0.9),
            "xlabs": (self.xlabs, "XLabs’ names", 0.5),
        }
        for name, (make, what, scale) in cases.items():
            file, changed = make(state)
            self.save(f"{name}.safetensors", file)
            # At another strength than 1, what lies between the base and the adapted weights.
            expected[name] = self.velocity({key: state[key] + scale * (changed[key] - state[key]) for key in state})
            line(name, what, scale)
        file, velocity, metadata = self.peft(state)
        self.save("peft.safetensors", file, metadata)
        expected["peft"] = velocity
        line("peft", "DoRA of PEFT with patterns", 1)
        self.save("expected.safetensors", expected)


def write(lines, shape, seed):
    """@param shape of the transformer that adapters are made for"""
    Forms(lines.folder / "forms", replace(shape, columns=384), seed).write(lines)


def write_text_encoders(lines, clip, t5, seed):
    """Pairs for text encoders in kohya's names and in diffusers', over the tiny model's."""
    clip_pairs, clip_model = adapted(clip, ["q_proj", "v_proj", "fc1", "out_proj"], seed)
    clip_pairs = {key if key.startswith("text_model.") else f"text_model.{key}": value for key, value in clip_pairs.items()}
    t5_pairs, t5_model = adapted(t5, ["q", "o", "wi_0", "wo"], seed + 1)
    folder = lines.folder / "forms"
    save(as_kohya(clip_pairs, "lora_te1_") | as_kohya(t5_pairs, "lora_te3_"), folder / "text-kohya.safetensors")
    config = {f"{part}.lora_alpha": 3 for part in ("text_encoder", "text_encoder_2")}
    file = {f"text_encoder.{key}": value for key, value in clip_pairs.items()}
    file |= {f"text_encoder_2.{key}": value for key, value in t5_pairs.items()}
    save(file, folder / "text-diffusers.safetensors", {"lora_adapter_metadata": json.dumps(config)})

    tokens = load_file(lines.folder / "clip.safetensors")
    vector = clip_model(tokens["tokens"].long()[None]).pooler_output[0]
    save({"tokens": tokens["tokens"], "end": tokens["end"], "vector": vector}, folder / "text-clip.safetensors")
    tokens = load_file(lines.folder / "t5.safetensors")["tokens"][:TEXT_TOKENS]
    save({"tokens": tokens, "text": t5_model(tokens.long()[None]).last_hidden_state[0]}, folder / "text-t5.safetensors")
    for style in ("kohya", "diffusers"):
        adapters = {f"forms/text-{style}.safetensors": 1}
        both = {"clip": "tiny/clip.safetensors", "t5": "tiny/t5.safetensors"}
        for kind, title in (("clip", "CLIP text encoder with adapters"), ("t5", "T5 encoder with adapters")):
            lines.add(
                kind, title, f"{style}' names", weights=both[kind], arrays=f"forms/text-{kind}.safetensors", adapters=adapters
            )


# Fewer than FLUX has: that all 512 agree is another line's.
TEXT_TOKENS = 40


def adapted(model, targets, seed):
    """A pair of random matrices, alpha 3 and rank 2, for some layers; and a copy of the model with them."""
    generator = torch.Generator().manual_seed(seed)
    config = LoraConfig(r=2, lora_alpha=3, target_modules=targets)
    changed = inject_adapter_in_model(config, copy.deepcopy(model), "default").eval()
    for name, parameter in sorted(changed.named_parameters()):
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5
    return get_peft_model_state_dict(changed), changed


def as_kohya(pairs, prefix):
    """networks/lora_flux.py of kohya-ss/sd-scripts: the module's name with underscores, and alpha beside the pair."""
    file = {}
    for key, value in pairs.items():
        module, member = key.rsplit(".lora_", 1)
        name = prefix + module.replace(".", "_")
        file[f"{name}.lora_{'down' if member.startswith('A') else 'up'}.weight"] = value
        file[f"{name}.alpha"] = torch.tensor(3.0)
    return file
