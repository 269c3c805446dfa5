"""The paper's objective (eq. 1, 6): x_t = (1 - sigma) x_0 + sigma noise, and the network predicts noise - x_0, for the
references as well as for the target.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import device
from .examples import Example
from .networks import ClipText, Flux, T5Encoder
from .tokenizers import TextTokens

# The error counts fully where the target is made, and so much where it is given already and in the references (L_ref).
GIVEN_WEIGHT = 0.1
# Of instructions that are left out.
UNCONDITIONAL = 0.1
# What guidance is drawn from. The paper tunes a distilled base at 1.0 (eq. 7); pocket has no such base.
DRAWN_GUIDANCE = (0.0, 60.0)


@dataclass
class Model:
    """The networks that are trained together, and the tokenizers of their words."""

    flux: Flux
    t5: T5Encoder
    clip: ClipText
    tokens: TextTokens
    guidance: tuple[float, float] = DRAWN_GUIDANCE

    @property
    def where(self) -> torch.device:
        return self.flux.img_in.weight.device

    @property
    def networks(self) -> nn.ModuleList:
        return nn.ModuleList([self.flux, self.t5, self.clip])


@dataclass
class Draw:
    """What a batch is mixed with, and asked for. sigma, guidance: [B]; noise: as the joined latents"""

    sigma: Tensor
    noise: Tensor
    guidance: Tensor


def pack(x: Tensor) -> Tensor:
    """`c (h 2) (w 2) -> (h w) (c 2 2)`, batched"""
    return F.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def joined(batch: list[Example], where: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """[references | target] along the width. -> x_0 [B, 16, h, w], edit [B, 16, h, w], mask [B, 64, h, w]"""
    clean = torch.stack([torch.cat([*e.references, e.target], dim=-1) for e in batch]).to(where).float()
    edit = torch.stack([torch.cat([*e.references, e.edit], dim=-1) for e in batch]).to(where).float()
    width = batch[0].target.shape[-1]
    mask = torch.zeros(len(batch), 64, *clean.shape[2:], device=where)
    mask[..., -width:] = torch.stack([e.mask for e in batch]).to(where).float()
    return clean, edit, mask


def draw_noise(clean: Tensor, guidance: tuple[float, float] = DRAWN_GUIDANCE) -> Draw:
    """A sigma for each of [B, 16, h, w], shifted by the number of tokens as FLUX's schedule is."""
    count, _, h, w = clean.shape
    mu = 0.5 + (h * w / 4 - 256) * (1.15 - 0.5) / (4096 - 256)
    sigma = torch.sigmoid(torch.randn(count) * 1.1 + mu)
    # The latent's strong components show through much noise, and tell colour and form before the words need to be
    # read. Only above 0.85 do the words decide: four in ten samples lie there.
    sigma = torch.where(torch.rand(count) < 0.4, 0.85 + 0.15 * torch.rand(count), sigma)
    low, high = guidance
    return Draw(sigma.to(clean.device), torch.randn_like(clean), (low + (high - low) * torch.rand(count)).to(clean.device))


def velocity_error(model: Model, latents: tuple[Tensor, Tensor, Tensor], texts: list[str], draw: Draw) -> tuple[Tensor, Tensor]:
    """-> squared error of each token and whether it is made, both [B, L]; L over references and target"""
    clean, edit, mask = latents
    rows, columns = clean.shape[2] // 2, clean.shape[3] // 2
    s = draw.sigma[:, None, None, None]
    x = (1 - s) * clean + s * draw.noise
    t5_tokens, clip_tokens = (tokens.to(model.where) for tokens in model.tokens(texts))
    with device.autocast(model.where):
        conditioning = pack(torch.cat([x, edit], dim=1)), pack(mask)
        text, vector = model.t5(t5_tokens), model.clip(clip_tokens)
        velocity = model.flux(torch.cat(conditioning, dim=-1), (rows, columns), text, vector, draw.sigma, draw.guidance)
    return (velocity.float() - pack(draw.noise - clean)).pow(2).mean(-1), pack(mask).amax(-1)


def loss_of(model: Model, batch: list[Example], with_references: bool = True) -> Tensor:
    """
    Mean squared velocity error of a batch of one shape.
    @param with_references whether the references are to be reconstructed as well (eq. 6), or serve as context alone
    """
    latents = joined(batch, model.where)
    # Without an instruction a masked place is emptied, so the one task that contradicts this keeps its words.
    texts = ["" if np.random.random() < UNCONDITIONAL and e.task != "inpaint" else e.text for e in batch]
    error, made = velocity_error(model, latents, texts, draw_noise(latents[0], model.guidance))
    weight = GIVEN_WEIGHT + (1 - GIVEN_WEIGHT) * made
    if not with_references:
        columns, own = latents[0].shape[-1] // 2, batch[0].target.shape[-1] // 2
        is_reference = torch.arange(error.shape[1], device=error.device) % columns < columns - own
        weight = weight * ~is_reference
    return (error * weight).sum() / weight.sum()
