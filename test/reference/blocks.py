"""
A GGUF file by the package `gguf`, with a tensor in each of the block types that are read, and what that package makes of them. It
rounds to the smaller types itself; of those in blocks of 256 it only knows the way back, so theirs are drawn bit by bit.
(This file is not called gguf.py: that would hide the package.)
"""

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants
from safetensors.numpy import save_file

ROWS, COLUMNS = 3, 512
ROUNDED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
# Bytes of a block, and where it has numbers of float16.
DRAWN = {"Q4_K": (144, (0, 2)), "Q5_K": (176, (0, 2)), "Q6_K": (210, (208,))}


def draw(random, size, floats):
    blocks = random.integers(0, 256, (ROWS * COLUMNS // 256, size), dtype=np.uint8)
    for at in floats:
        # Of either sign, from below float16's smallest normal number on.
        drawn = (random.standard_normal(len(blocks)) * 10.0 ** random.uniform(-6, -1, len(blocks))).astype(np.float16)
        blocks[:, at : at + 2] = drawn.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def write(lines, seed):
    random = np.random.default_rng(seed)
    writer = GGUFWriter(lines.folder / "blocks.gguf", "flux")
    # Values that a reader has to pass over: numbers, texts, and a vocabulary.
    writer.add_quantization_version(2)
    writer.add_file_type(14)
    writer.add_token_list([f"token {i}" for i in range(100)])
    writer.add_token_scores([0.5] * 100)
    expected = {}
    for name in (*ROUNDED, *DRAWN):
        kind = GGMLQuantizationType[name]
        if name in DRAWN:
            blocks = draw(random, *DRAWN[name])
        else:
            weights = random.standard_normal((ROWS, COLUMNS), dtype=np.float32) * random.choice([1e-4, 0.02, 3], (ROWS, 1))
            blocks = quants.quantize(weights.astype(np.float32), kind)
        writer.add_tensor(f"{name}.weight", blocks, raw_dtype=kind)
        expected[name] = quants.dequantize(blocks, kind)
        lines.add("blocks", "ggml's blocks", f"{name} in a GGUF file", weights="blocks.gguf", arrays="blocks.safetensors", type=name)
    bias = random.standard_normal(ROWS, dtype=np.float32)
    writer.add_tensor("bias", bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, lines.folder / "blocks.safetensors")
