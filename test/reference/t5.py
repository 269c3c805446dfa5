"""T5's encoder against transformers' T5EncoderModel, in its own layout."""

import torch
from transformers import T5Config, T5EncoderModel

from weights import DTYPES, describe_dtype, enlarge, largest, randomize, round_weights, save

# FLUX's length; longer than the largest distance of the position bias (128), so that every bucket is used.
TOKENS = 512


def write(lines, shape, width, vocabulary, seed, name="t5", weights="tiny/t5.safetensors"):
    """Returns the model, for the edit from end to end."""
    config = T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=shape.head_size,
        num_heads=shape.heads,
        d_ff=shape.hidden,
        num_layers=shape.layers,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
    )
    model = randomize(T5EncoderModel(config), seed)
    last = model.encoder.block[-1]
    if shape.dtype == "float16":
        # The published float16 code clamps what comes out of a block.
        enlarge(last.layer[1].DenseReluDense.wo.weight)
    round_weights(model, DTYPES[shape.dtype])
    state = {key: t for key, t in model.state_dict().items() if key != "encoder.embed_tokens.weight"}
    save(state, lines.folder / weights, dtype=DTYPES[shape.dtype])
    tokens = torch.randint(0, vocabulary, (TOKENS,), generator=torch.Generator().manual_seed(seed))
    with largest(last, part=0) as reached:
        text = model(tokens[None]).last_hidden_state[0]
    save({"tokens": tokens.to(torch.int32), "text": text}, lines.folder / f"{name}.safetensors")
    lines.add(
        "t5",
        "T5 encoder",
        f"{TOKENS} tokens, width {width}, {shape.heads} heads of {shape.head_size}, {shape.layers} layers, "
        f"{describe_dtype(shape.dtype, reached)}",
        weights=weights,
        arrays=f"{name}.safetensors",
    )
    return model
