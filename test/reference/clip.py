"""CLIP's text encoder against transformers' CLIPTextModel, in its own layout."""

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from weights import DTYPES, randomize, round_weights, save

TOKENS = 77


def write(lines, shape, width, vocabulary, seed):
    """Returns the model, for the edit from end to end."""
    start, end = vocabulary - 2, vocabulary - 1
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=width // 64,
        max_position_embeddings=TOKENS,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        hidden_act="quick_gelu",
    )
    model = round_weights(randomize(CLIPTextModel(config), seed), DTYPES[shape.dtype])
    state = {name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in model.state_dict().items()}
    state = {name: t for name, t in state.items() if "position_ids" not in name}
    save(state, lines.folder / "tiny/clip.safetensors", dtype=DTYPES[shape.dtype])
    generator = torch.Generator().manual_seed(seed)
    length = int(torch.randint(1, TOKENS - 2, (1,), generator=generator))
    tokens = torch.full((TOKENS,), end)
    tokens[0] = start
    tokens[1 : 1 + length] = torch.randint(0, start, (length,), generator=generator)
    vector = model(tokens[None]).pooler_output[0]
    arrays = {"tokens": tokens.to(torch.int32), "end": torch.tensor([1 + length], dtype=torch.int32), "vector": vector}
    save(arrays, lines.folder / "clip.safetensors")
    lines.add(
        "clip",
        "CLIP text encoder",
        f"{TOKENS} tokens, width {width}, {width // 64} heads, {shape.layers} layers, {shape.dtype}",
        weights="tiny/clip.safetensors",
        arrays="clip.safetensors",
    )
    return model
