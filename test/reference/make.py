"""
Writes random weights in the published layouts, and what the published implementations compute with them.

usage: python test/reference/make.py [--seed N] [--out DIR] [--full-width [WIDTH]]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import adapter_forms
import adapters
import autoencoder
import blocks
import cache
import clean
import clip
import draw
import edit
import flux
import sampling
import t5
import tokenization
import units
from lines import Lines

SHIPPED = Path(__file__).parent / "arrays"
# "put {image} here the red circle" and others are made of these.
WORDS = ("a", "red", "circle", "put", "here", "the", "blue")


def write_all(lines, seed):
    drawn = draw.networks(seed)
    vocabulary = tokenization.TINY_VOCABULARY
    first = 10 * seed
    models = [
        flux.write(
            lines, shape, name, "tiny/transformer.safetensors" if i == 0 else f"{name}-weights.safetensors",
            drawn.text_width, drawn.vector_width, first + 1 + i,
        )
        for i, shape in enumerate(drawn.flux)
        for name in [f"flux{shape.columns}{'' if shape.guidance else '-unguided'}"]
    ]  # fmt: skip
    cache.write(
        lines, models[0], drawn.flux[0], "tiny/transformer.safetensors", drawn.text_width, drawn.vector_width, first + 7
    )
    text = t5.write(lines, drawn.t5, drawn.text_width, vocabulary, first + 3)
    in_float16 = replace(drawn.t5, dtype="float16")
    t5.write(lines, in_float16, drawn.text_width, vocabulary, first + 6, "t5-float16", "t5-float16-weights.safetensors")
    pooled = clip.write(lines, drawn.clip, drawn.vector_width, vocabulary, first + 4)
    image = autoencoder.write(lines, drawn.autoencoder, first + 5)
    adapters.write(lines, drawn.adapters, 11 + first)
    adapter_forms.write(lines, drawn.adapters, 12 + first)
    adapter_forms.write_text_encoders(lines, pooled, text, 13 + first)
    tokenization.write(lines, seed)
    tokenizers = tokenization.write_tiny(lines, WORDS)
    sampling.write_noise(lines, seed)
    sampling.write_schedules(lines, seed)
    units.write(lines, seed)
    clean.write(lines, seed)
    blocks.write(lines, seed)
    edit.write(lines, models[0], image, text, pooled, tokenizers, drawn.edit_rows, drawn.edit_columns, seed % 2**32)


def write_full_width(lines, width, seed):
    """
    As wide as FLUX.1: one block of each kind (hidden 3072, 24 heads), one layer of T5-XXL (4096, 64 heads); CLIP-L and the
    autoencoder whole.
    """
    heads, text_width = width // 128, width * 4 // 3
    shape = draw.Flux(384, True, heads, 128, 1, 1, 64, 6, 8, "bfloat16")
    flux.write(lines, shape, "flux", "flux-weights.safetensors", text_width, 768, seed + 1)
    shape = draw.Flux(64, False, heads, 128, 1, 1, 5, 3, 4, "bfloat16")
    adapters.write(lines, shape, seed + 3)
    shape = draw.T5(text_width // 64, 64, text_width * 5 // 2, 1, "bfloat16")
    t5.write(lines, shape, text_width, 1000, seed + 2, weights="t5-weights.safetensors")
    clip.write(lines, draw.CLIP(3072, 12, "bfloat16"), 768, 1000, seed + 4)
    autoencoder.write(lines, draw.Autoencoder((128, 256, 512, 512), 2, 32, 64, 96), seed + 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="0 makes the arrays that ship; any other draws other networks and cases")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the folder to write (default: the arrays that ship)")
    parser.add_argument(
        "--full-width", type=int, nargs="?", const=3072, metavar="WIDTH",
        help="only the networks, as wide as FLUX.1 (3072 and 4096; about 3.5 GB), or with this hidden width",
    )  # fmt: skip
    options = parser.parse_args()
    if (options.seed != 0 or options.full_width) and options.out == SHIPPED:
        parser.error("--out is needed: the arrays that ship are those of seed 0")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    lines = Lines(options.out)
    with torch.no_grad():
        if options.full_width:
            write_full_width(lines, options.full_width, options.seed)
        else:
            write_all(lines, options.seed)
    lines.write()


if __name__ == "__main__":
    main()
