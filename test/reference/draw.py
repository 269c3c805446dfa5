"""What the networks of a seed look like. Seed 0 is what ships; every other seed draws its own."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Flux:
    columns: int
    guidance: bool
    heads: int
    head_size: int
    double: int
    single: int
    text_tokens: int
    rows: int
    width: int
    dtype: str
    layout: str = "black-forest-labs"

    @property
    def hidden(self):
        return self.heads * self.head_size


@dataclass(frozen=True)
class T5:
    heads: int
    head_size: int
    hidden: int
    layers: int
    dtype: str


@dataclass(frozen=True)
class CLIP:
    hidden: int
    layers: int
    dtype: str


@dataclass(frozen=True)
class Autoencoder:
    channels: tuple
    layers: int
    groups: int
    height: int
    width: int


@dataclass(frozen=True)
class Networks:
    text_width: int
    vector_width: int
    # The first takes part in the edit from end to end, so it has 384 columns and guidance.
    flux: tuple
    t5: T5
    clip: CLIP
    autoencoder: Autoencoder
    # What adapters are made for.
    adapters: Flux
    # Of the edit from end to end, in tokens.
    edit_rows: int
    edit_columns: int


SHIPPED = Networks(
    text_width=32,
    vector_width=128,
    flux=(
        Flux(384, True, 2, 32, 1, 1, 12, 4, 6, "bfloat16"),
        Flux(448, True, 1, 32, 1, 2, 12, 3, 6, "float32", "diffusers"),
        Flux(384, False, 1, 32, 2, 1, 9, 5, 3, "float16"),
    ),
    t5=T5(6, 8, 48, 2, "float32"),
    clip=CLIP(64, 2, "bfloat16"),
    autoencoder=Autoencoder((8, 8, 16, 16), 1, 4, 48, 64),
    adapters=Flux(64, False, 1, 32, 1, 2, 5, 3, 4, "bfloat16"),
    edit_rows=4,
    edit_columns=5,
)


def networks(seed):
    if seed == 0:
        return SHIPPED
    r = random.Random(seed)

    def flux(columns, guidance):
        return Flux(
            columns, guidance, r.randint(1, 5), r.choice([32, 64, 128]), r.randint(1, 3), r.randint(1, 4),
            r.randint(1, 40), r.randint(2, 9), r.randint(2, 9), r.choice(["float32", "float16", "bfloat16"]),
            r.choice(["black-forest-labs", "diffusers"]),
        )  # fmt: skip

    groups = r.choice([2, 4, 8])
    return Networks(
        text_width=8 * r.randint(2, 12),
        vector_width=64 * r.randint(1, 4),
        flux=(flux(384, True), flux(448, True), flux(448, False), flux(384, False)),
        t5=T5(r.randint(1, 9), r.choice([8, 16, 64]), 8 * r.randint(3, 20), r.randint(1, 4), r.choice(["float32", "bfloat16"])),
        clip=CLIP(r.choice([48, 64, 160]), r.randint(1, 4), r.choice(["float32", "float16", "bfloat16"])),
        autoencoder=Autoencoder(
            tuple(groups * r.randint(1, 4) for _ in range(4)), r.randint(1, 2), groups, 16 * r.randint(2, 6), 16 * r.randint(2, 6)
        ),
        edit_rows=r.randint(3, 6),
        edit_columns=r.randint(3, 6),
        adapters=Flux(
            r.choice([64, 384]), r.random() < 0.5, r.randint(1, 3), r.choice([32, 64]), r.randint(1, 3), r.randint(1, 4),
            r.randint(1, 20), r.randint(2, 5), r.randint(2, 5), "bfloat16",
        ),  # fmt: skip
    )
