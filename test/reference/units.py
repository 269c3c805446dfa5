"""
The preprocessing of the authors (ACEPlusImageProcessor), as formulas of torch, on their own sample pictures.

The pictures in pictures/ are those of ali-vilab/ACE_plus (Apache-2.0), scaled down. A case is a request as the companion
takes it, and what the model is to be shown. Where ours is meant to differ, the case avoids it; README.md lists it.
"""

import io
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from weights import save

PICTURES = Path(__file__).parent / "pictures"
TOKEN, KEEP_RATE, MAX_ASPECT = 16, 0.8, 4
SAMPLES = 600


def picture(name, width, height):
    """[height, width, 3] uint8, or [height, width] of 0 and 255 for a mask."""
    image = Image.open(PICTURES / f"{name}.png").resize((width, height), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(image))
    return pixels if pixels.dim() == 3 else (pixels > 127).to(torch.uint8) * 255


def as_png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(stream, "PNG", optimize=True)
    return torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)


def to_model(pixels):
    """[h, w, 3] -> [3, h, w] in [-1, 1]"""
    return pixels.permute(2, 0, 1).float() / 255 * 2 - 1


def center_crop(image):
    """To an aspect of 4:1 at most."""
    height, width = image.shape[-2:]
    if width > MAX_ASPECT * height:
        left = round((width - MAX_ASPECT * height) / 2)
        return image[..., left : left + MAX_ASPECT * height]
    if height > MAX_ASPECT * width:
        top = round((height - MAX_ASPECT * width) / 2)
        return image[..., top : top + MAX_ASPECT * width, :]
    return image


def at_height_of_target(reference, height, keep_pixels):
    own_height, own_width = reference.shape[-2:]
    if not keep_pixels:
        size = (height, int(own_width * height / own_height))
        return F.interpolate(reference[None], size, mode="bilinear", antialias=True)[0]
    if own_height >= KEEP_RATE * height:
        shown = int(height * KEEP_RATE)
        size = (shown, int(own_width * shown / own_height))
        reference = F.interpolate(reference[None], size, mode="bilinear", antialias=True)[0]
    above = (height - reference.shape[-2]) // 2
    below = height - reference.shape[-2] - above
    # Mid-grey: the authors normalize first, and pad with 0 (inference/utils.py).
    return F.pad(reference, (0, 0, above, below), value=0.0)


def process(edit, mask, references, scale, keep_pixels, max_sequence, with_change):
    """-> edit, mask and change image of the joined sequence, as the specification's steps 2 to 6"""
    edit = edit * (1 - mask * scale)
    shown = [at_height_of_target(center_crop(r), edit.shape[-2], keep_pixels) for r in references]
    edit = torch.cat([*shown, edit], dim=-1)
    mask = torch.cat([*(torch.zeros_like(r[:1]) for r in shown), mask], dim=-1)
    height, width = edit.shape[-2:]
    factor = min(1.0, math.sqrt(max_sequence / ((height / TOKEN) * (width / TOKEN))))
    size = (int(height * factor) // TOKEN * TOKEN, int(width * factor) // TOKEN * TOKEN)
    edit, mask = (F.interpolate(x[None], size, mode="nearest-exact")[0] for x in (edit, mask))
    if not with_change:
        return edit, mask, None
    return edit * (1 - mask), mask, edit * mask


def pack(latent):
    """c (h 2) (w 2) -> (h w) (c 2 2)"""
    c, h, w = latent.shape
    return latent.reshape(c, h // 2, 2, w // 2, 2).permute(1, 3, 0, 2, 4).reshape(h // 2 * (w // 2), c * 4)


def packed_mask(mask):
    """(h 8) (w 8) -> (8 8) h w, packed"""
    _, h, w = mask.shape
    return pack(mask[0].reshape(h // 8, 8, w // 8, 8).permute(1, 3, 0, 2).reshape(64, h // 8, w // 8))


def shipped_cases():
    """edit (picture, width, height) or a size alone, mask, references, task, repainting scale, keep pixels, limit, change image"""
    yield ("local_edit", 160, 96), "local_mask", [], "local-editing", 0.5, False, 40, False
    yield ("recolor_edit", 96, 96), "recolor_mask", [], "general-editing", 0, False, 64, True
    yield ("photo_edit", 112, 192), "photo_mask", [("photo_ref", 96, 96)], "local-reference-editing", 1, False, 256, False
    kept = [("portrait_ref", 144, 192), ("subject_ref", 80, 64)]
    yield ("photo_edit", 112, 160), "photo_mask", kept, "local-reference-editing", 1, True, 256, True
    four = [("portrait_ref", 80, 80), ("photo_ref", 48, 80), ("subject_ref", 64, 64), ("recolor_edit", 128, 160)]
    yield (None, 160, 160), None, four, "reference-generation", 1, False, 440, False
    yield ("photo_edit", 64, 64), None, [("photo_ref", 100, 20)], "general-editing", 0, False, 80, True
    # Grey around a reference, which is low beside the target; and FFT keeps the pixels of a tall one unless it is told otherwise.
    yield ("photo_edit", 128, 192), "photo_mask", [("subject_ref", 96, 64)], "local-reference-editing", 1, True, 256, False
    yield ("photo_edit", 112, 160), "photo_mask", [("portrait_ref", 144, 192)], "local-reference-editing", 1, None, 256, True


def drawn_cases(seed):
    """With 0 to 4 references each, whose widths come out as whole tokens; scaled down only without any."""
    r = random.Random(seed)
    names = ["portrait_ref", "photo_ref", "subject_ref", "recolor_edit"]
    for count in range(5):
        keep = r.random() < 0.5
        # 10 rows show a reference of 8 and more at 8 of them (0.8), and a lower one as it is.
        rows = 10 if keep else r.randint(5, 12)
        across = [r.randint(3, 6) for _ in range(count)]
        references = []
        for tokens in across:
            height = r.choice([4, 8]) if keep else rows
            zoom = 1 if height == 4 else r.choice([1, 2] if keep else [0.5, 1, 2])
            references.append((r.choice(names), int(tokens * TOKEN * zoom), int(height * TOKEN * zoom)))
        # Wide enough not to be scaled up: ours does that to a target below half of the model's native side.
        columns = max(r.randint(5, 12), math.ceil(sum(across) / 3))
        limit = rows * (columns + sum(across)) if count else int(rows * columns * r.choice([0.7, 1.5]))
        edit = r.choice(["local", "recolor", "photo"])
        task = "local-reference-editing" if count else "inpaint"
        size = (f"{edit}_edit", columns * TOKEN, rows * TOKEN)
        yield size, f"{edit}_mask", references, task, r.choice([0, 0.5, 1]), keep, max(16, limit), r.random() < 0.5


def write(lines, seed):
    for number, case in enumerate(shipped_cases() if seed == 0 else drawn_cases(seed)):
        (name, width, height), mask_name, references, task, scale, keep_pixels, max_sequence, with_change = case
        request = {"version": 1, "task": task, "instruction": "a test", "repaintingScale": scale}
        if keep_pixels is not None:
            request |= {"keepPixels": keep_pixels}
        # The whole picture is the window, as the authors take it.
        request |= {"window": {"context": 8, "maxSequence": max_sequence}}
        edit, mask, tensors = torch.zeros(3, height, width), torch.ones(1, height, width), {}
        if name:
            tensors["edit"] = picture(name, width, height)
            edit = to_model(tensors["edit"])
        else:
            request |= {"width": width, "height": height}
        if mask_name:
            tensors["mask"] = picture(mask_name, width, height)
            mask = tensors["mask"][None].float() / 255
        for i, reference in enumerate(references):
            tensors[f"reference.{i}"] = picture(*reference)
        shown = [to_model(tensors[f"reference.{i}"]) for i in range(len(references))]
        # infer_fft.py: `keep_pixels=True`; inference/ace_plus_diffusers.py leaves it out, which is False.
        kept = with_change if keep_pixels is None else keep_pixels
        edit, mask, change = process(edit, mask, shown, scale, kept, max_sequence, with_change)
        generator = torch.Generator().manual_seed(number)
        joined = {"edit": edit, "mask": mask, "packed": packed_mask(mask), **({"change": change} if with_change else {})}
        expected = {}
        for part, values in joined.items():
            positions = torch.randint(0, values.numel(), (min(SAMPLES, values.numel()),), generator=generator)
            expected |= {part: values.flatten()[positions], f"{part}.positions": positions.to(torch.int32)}
        encoded = {f"{part}.png": as_png(pixels) for part, pixels in tensors.items()}
        save(encoded, lines.folder / f"units-{number}.request.safetensors", {"request": json.dumps(request)})
        save(expected, lines.folder / f"units-{number}.safetensors")
        lines.add(
            "units",
            "Preprocessing",
            f"{width}x{height}, {len(references)} references, repainting scale {scale}, {'pixels kept, ' if kept else ''}"
            f"at most {max_sequence} tokens, {'448' if with_change else '384'} columns",
            request=f"units-{number}.request.safetensors",
            expected=f"units-{number}.safetensors",
            joined=[edit.shape[-1], edit.shape[-2]],
            withChange=with_change,
        )
