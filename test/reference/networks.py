"""Writes arrays/tiny/, a model of random weights in the official layouts, and what diffusers and transformers compute with it.

usage: python test/reference/networks.py   (needs torch, diffusers, transformers and tokenizers)
"""

import json
import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

arrays = Path(__file__).parent / "arrays"
tiny = arrays / "tiny"

TEXT_WIDTH, TEXT_TOKENS, VECTOR_WIDTH, T5_VOCABULARY, CLIP_VOCABULARY = 32, 12, 128, 96, 96


def randomize(model, seed):
    """Weights large enough that every part matters: the default initialisation of some is zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() >= 2:
            fan_in = parameter[0].numel()
            parameter.data = noise * fan_in**-0.5
        elif "norm" in name and name.endswith("weight"):
            parameter.data = 1 + 0.2 * noise
        else:
            parameter.data = 0.2 * noise
    return model.eval()


def round_weights(model, dtype):
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).to(torch.float32)
    return model


def save(tensors, file, metadata=None, dtype=torch.float32):
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: t.detach().to(dtype).contiguous() for name, t in tensors.items()}, file, metadata)


# black-forest-labs' names of diffusers' tensors, as the layouts correspond.

def flux_keys(state):
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
        linear(f"{to}.in_layer", f"time_text_embed.{source}_embedder.linear_1")
        linear(f"{to}.out_layer", f"time_text_embed.{source}_embedder.linear_2")
    count = lambda kind: len({name.split(".")[1] for name in state if name.startswith(f"{kind}.")})
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
        scale, shift = state[f"norm_out.linear.{kind}"].chunk(2)
        out[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat([shift, scale])
    linear("final_layer.linear", "proj_out")
    return out


def autoencoder_keys(state):
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


def write_flux(name, columns, rows, single_layers, dtype, weights, seed):
    """An image wider than high, so that rows and columns cannot be taken for each other."""
    model = FluxTransformer2DModel(
        in_channels=columns,
        out_channels=64,
        num_layers=1,
        num_single_layers=single_layers,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=VECTOR_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(4, 14, 14),
    )
    model = round_weights(randomize(model, seed), dtype)
    save(flux_keys(model.state_dict()), weights, dtype=dtype)
    width = 6
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(rows * width, columns, generator=generator)
    text = torch.randn(TEXT_TOKENS, TEXT_WIDTH, generator=generator)
    vector = torch.randn(VECTOR_WIDTH, generator=generator)
    ids = torch.zeros(rows, width, 3)
    ids[..., 1] += torch.arange(rows)[:, None]
    ids[..., 2] += torch.arange(width)[None]
    sigma, guidance = torch.tensor([0.73]), torch.tensor([4.5])
    velocity = model(
        hidden_states=image[None],
        encoder_hidden_states=text[None],
        pooled_projections=vector[None],
        timestep=sigma,
        guidance=guidance,
        img_ids=ids.reshape(-1, 3),
        txt_ids=torch.zeros(TEXT_TOKENS, 3),
    ).sample[0]
    grid = torch.tensor([rows, width], dtype=torch.float32)
    save(
        {"image": image, "text": text, "vector": vector, "sigma": sigma, "guidance": guidance, "grid": grid, "velocity": velocity},
        arrays / f"{name}.safetensors",
    )


def write_t5():
    config = T5Config(
        vocab_size=T5_VOCABULARY,
        d_model=TEXT_WIDTH,
        d_kv=8,
        num_heads=6,
        d_ff=48,
        num_layers=2,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
    )
    model = randomize(T5EncoderModel(config), 3)
    state = {name: t for name, t in model.state_dict().items() if name != "encoder.embed_tokens.weight"}
    save(state, tiny / "t5.safetensors")
    # Longer than the largest distance, so that every bucket is used.
    tokens = torch.randint(0, T5_VOCABULARY, (150,), generator=torch.Generator().manual_seed(3))
    text = model(tokens[None]).last_hidden_state[0]
    save({"tokens": tokens, "text": text}, arrays / "t5.safetensors")


def write_clip():
    config = CLIPTextConfig(
        vocab_size=CLIP_VOCABULARY,
        hidden_size=VECTOR_WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=20,
        bos_token_id=CLIP_VOCABULARY - 2,
        eos_token_id=CLIP_VOCABULARY - 1,
        pad_token_id=CLIP_VOCABULARY - 1,
        hidden_act="quick_gelu",
    )
    model = round_weights(randomize(CLIPTextModel(config), 4), torch.bfloat16)
    state = {name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in model.state_dict().items()}
    save({n: t for n, t in state.items() if "position_ids" not in n}, tiny / "clip.safetensors", dtype=torch.bfloat16)
    tokens = torch.full((20,), CLIP_VOCABULARY - 1)
    tokens[0] = CLIP_VOCABULARY - 2
    tokens[1:9] = torch.randint(0, CLIP_VOCABULARY - 2, (8,), generator=torch.Generator().manual_seed(4))
    vector = model(tokens[None]).pooler_output[0]
    save({"tokens": tokens, "end": torch.tensor([9.0]), "vector": vector}, arrays / "clip.safetensors")


def write_autoencoder():
    model = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    randomize(model, 5)
    shift, scale = 0.1159, 0.3611
    save(autoencoder_keys(model.state_dict()), tiny / "ae.safetensors", {"norm_groups": "4"})
    image = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(5)) * 2 - 1
    latent = (model.encode(image[None]).latent_dist.mean - shift) * scale
    decoded = model.decode(latent / scale + shift).sample
    save({"image": image, "latent": latent[0], "decoded": decoded[0]}, arrays / "autoencoder.safetensors")


def write_tokenizers():
    """Made as T5's (unigram) and CLIP's (byte-level BPE with a word's end) are, with a few pieces."""
    letters = [chr(ord("a") + i) for i in range(26)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(c, -5.0) for c in letters] + [("▁" + w, -2.0) for w in ("a", "red", "circle", "put", "here", "the", "blue")]
    t5 = Tokenizer(models.Unigram(pieces, unk_id=2))
    t5.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t5.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    t5.decoder = decoders.Metaspace()
    t5.add_special_tokens(["<pad>", "</s>", "<unk>"])
    start, end = "<|startoftext|>", "<|endoftext|>"
    vocabulary = [*letters, *(c + "</w>" for c in letters), "re", "red</w>", "ci", "bl", "ue</w>"]
    vocabulary = {piece: i for i, piece in enumerate([*vocabulary, start, end])}
    merges = [("r", "e"), ("re", "d</w>"), ("c", "i"), ("b", "l"), ("u", "e</w>")]
    clip = Tokenizer(models.BPE(vocabulary, merges, unk_token=end, end_of_word_suffix="</w>"))
    clip.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    clip.pre_tokenizer = pre_tokenizers.Whitespace()
    ids = [(token, vocabulary[token]) for token in (start, end)]
    clip.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ids)
    clip.add_special_tokens([start, end])
    texts = ["a red circle", "put {image} here", "", "the blue circle " * 12]
    encodings = {"texts": texts, "t5": [], "clip": []}
    for folder, tokenizer, length, config in (
        ("clip", clip, 20, {"eos_token": end, "pad_token": end}),
        ("t5", t5, TEXT_TOKENS, {"eos_token": "</s>", "pad_token": {"content": "<pad>", "special": True}}),
    ):
        (tiny / folder).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(tiny / folder / "tokenizer.json"))
        config = {**config, "model_max_length": length}
        (tiny / folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
        # As the companion does with a tokenizer that lacks it.
        if folder == "t5":
            tokenizer.add_special_tokens(["{image}"])
        tokenizer.enable_truncation(length)
        pad = config["pad_token"] if folder == "clip" else "<pad>"
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id(pad), pad_token=pad, length=length)
        encodings[folder] = [tokenizer.encode(text).ids for text in texts]
    (arrays / "tokens.json").write_text(json.dumps(encodings) + "\n")


with torch.no_grad():
    write_flux("flux384", 384, 4, 1, torch.float32, tiny / "transformer.safetensors", 1)
    write_flux("flux448", 448, 3, 2, torch.float16, arrays / "fft-float16.safetensors", 2)
    write_t5()
    write_clip()
    write_autoencoder()
    write_tokenizers()
