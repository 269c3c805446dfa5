"""An edit from end to end: diffusers' FluxFillPipeline over the model in tiny/."""

import json
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxFillPipeline
from PIL import Image, ImageDraw

from tokenization import TINY_TEXT_TOKENS
from weights import save

STEPS, GUIDANCE, INSTRUCTION = 28, 30.0, "put {image} here the red circle"


def scene(width, height):
    """A picture and a mask inside it: [h, w, 3] and [h, w] uint8."""
    picture = Image.new("RGB", (width, height), (70, 130, 180))
    draw = ImageDraw.Draw(picture)
    draw.polygon([(0, height), (width // 2, height // 3), (width, height)], fill=(90, 160, 60))
    draw.ellipse([width * 0.6, 4, width * 0.6 + 18, 22], fill=(250, 220, 90))
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).ellipse([width * 0.2, height * 0.3, width * 0.7, height * 0.9], fill=255)
    return torch.from_numpy(np.array(picture)), torch.from_numpy(np.array(mask))


def write(lines, transformer, autoencoder, t5, clip, tokenizers, rows, columns, seed):
    clip_tokenizer, t5_tokenizer = tokenizers
    pipeline = FluxFillPipeline(
        # FLUX.1-Fill-dev's scheduler_config.json
        scheduler=FlowMatchEulerDiscreteScheduler(
            base_image_seq_len=256, base_shift=0.5, max_image_seq_len=4096, max_shift=1.15, shift=3.0, use_dynamic_shifting=True
        ),
        vae=autoencoder,
        text_encoder=clip,
        tokenizer=clip_tokenizer,
        text_encoder_2=t5,
        tokenizer_2=t5_tokenizer,
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    # The posterior's mean, as the specification has it; the pipeline draws from the posterior.
    encode = autoencoder.encode
    autoencoder.encode = lambda image: SimpleNamespace(latents=encode(image).latent_dist.mean)
    height, width = rows * 16, columns * 16
    picture, mask = scene(width, height)
    # Given, as the pipeline would first draw from the same generator to encode the picture.
    torch.manual_seed(seed)
    noise = torch.randn(1, 16, height // 8, width // 8)
    steps = []
    result = pipeline(
        prompt=INSTRUCTION,
        image=Image.fromarray(picture.numpy()),
        mask_image=Image.fromarray(mask.numpy()),
        height=height,
        width=width,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        latents=pipeline._pack_latents(noise, 1, 16, height // 8, width // 8),
        max_sequence_length=TINY_TEXT_TOKENS,
        output_type="pt",
        callback_on_step_end=lambda pipe, step, timestep, values: steps.append(values["latents"][0].clone()) or {},
    )
    request = {
        "version": 1, "task": "inpaint", "instruction": INSTRUCTION, "seed": seed, "steps": STEPS, "guidance": GUIDANCE,
        # The whole picture at its own size is what the model works on.
        "window": {"context": 8, "maxSequence": max(16, rows * columns)},
    }  # fmt: skip
    save({"edit": picture, "mask": mask}, lines.folder / "edit.request.safetensors", {"request": json.dumps(request)})
    save({"latents": torch.stack(steps), "picture": result.images[0]}, lines.folder / "edit.safetensors")
    lines.add(
        "edit",
        "Edit from end to end",
        f"FluxFillPipeline, {width}x{height}, {STEPS} steps, guidance {GUIDANCE:g}, seed {seed}",
        model="tiny",
        request="edit.request.safetensors",
        expected="edit.safetensors",
    )
