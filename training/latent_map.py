"""Takes a transformer from the latents that it knows to those of another autoencoder, without training.

Both latents are nearly linear in the pixels, so one follows from the other by a 16 x 16 matrix M: old = M new + b. With M in front of
the first layer and its inverse behind the last, the transformer predicts nearly what it did; what M does to the noise is left
to training.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .networks import AutoEncoder, Flux

# Packed latents: each channel as 2x2.
PACKED = torch.eye(4)


# A direction of the new latents that moves the old ones less is one that they lack.
LACKING = 0.3


@torch.no_grad()
def fit(old: AutoEncoder, rows_or_new: Tensor | AutoEncoder, pictures: Tensor) -> tuple[Tensor, Tensor, float]:
    """
    The new latents are those of an autoencoder, or of rows [16, 192] over 8x8 blocks. pictures: [B, 3, H, W] in [-1, 1]
    -> M [16, 16], b [16], the share of the old latents' variance that they explain
    """

    def new(part: Tensor) -> Tensor:
        if isinstance(rows_or_new, AutoEncoder):
            return rows_or_new.encode(part)
        return torch.einsum("kc,bchw->bkhw", rows_or_new, F.pixel_unshuffle(part, 8))

    wanted, given = (
        torch.cat([encode(part) for part in pictures.split(16)]).movedim(1, -1).flatten(0, -2).double() for encode in (old.encode, new))
    given = torch.cat([given, torch.ones(len(given), 1, dtype=given.dtype)], dim=1)
    solved = torch.linalg.lstsq(given, wanted).solution
    unexplained = (wanted - given @ solved).var() / wanted.var()
    return solved[:-1].T.float(), solved[-1].float(), 1 - unexplained.item()


def alike(rows: Tensor, old: AutoEncoder, pictures: Tensor) -> Tensor:
    """
    The same components, scaled so that M only turns them: noise that is white for the new latents is then white for the old.
    rows: [16, 192] -> [16, 192]
    """
    matrix, _, _ = fit(old, rows, pictures)
    _, scales, directions = torch.linalg.svd(matrix)
    scales = torch.where(scales < LACKING, scales[scales >= LACKING].mean(), scales)
    return directions.T @ (scales[:, None] * (directions @ rows))


@torch.no_grad()
def apply(flux: Flux, matrix: Tensor, offset: Tensor) -> None:
    """Changes the layers that read x_t and the edit, and the one that writes the velocity."""
    packed, packed_offset = torch.kron(matrix.contiguous(), PACKED), offset.repeat_interleave(4)
    reads, writes = flux.img_in, flux.final_layer.linear
    for start in (0, 64):  # x_t, edit; what follows is the mask
        columns = reads.weight[:, start : start + 64].clone()
        reads.weight[:, start : start + 64] = columns @ packed
        reads.bias += columns @ packed_offset
    # velocity = noise - x_0, of which b belongs to x_0. In directions that the old latents lack, it begins at zero.
    inverse = torch.linalg.pinv(packed, rtol=LACKING)
    writes.weight.copy_(inverse @ writes.weight)
    writes.bias.copy_(inverse @ (writes.bias + packed_offset))
