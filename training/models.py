"""The four networks and two tokenizers together."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from . import export
from .networks.autoencoder import Autoencoder
from .networks.clip import CLIPText
from .networks.flux import Flux
from .networks.t5 import T5Encoder
from .text import TextRows

GUIDANCE = 4.0
"""Any number: guidance is not looked at."""


@dataclass
class Models:
    transformer: Flux
    t5: T5Encoder
    clip: CLIPText
    autoencoder: Autoencoder
    t5_rows: TextRows
    clip_rows: TextRows

    def trained(self) -> nn.ModuleDict:
        """What stages 1 and 2 train together."""
        return nn.ModuleDict({"transformer": self.transformer, "t5": self.t5, "clip": self.clip})

    def encode_text(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """[B, T, 256] and [B, 128]"""
        ids, _ = self.t5_rows(texts)
        clip_ids, end = self.clip_rows(texts)
        return self.t5(ids), self.clip(clip_ids, end)


def new_models(tokenizers: Path) -> Models:
    t5_rows, clip_rows = TextRows(tokenizers / "t5"), TextRows(tokenizers / "clip")
    return Models(
        Flux(), T5Encoder(t5_rows.vocabulary), CLIPText(clip_rows.vocabulary, clip_rows.length), Autoencoder(),
        t5_rows, clip_rows,
    )  # fmt: skip


def load_exported(folder: Path) -> Models:
    """The files that ship, as float32."""
    models = new_models(folder)
    for file, net in (("transformer", models.transformer), ("t5", models.t5), ("clip", models.clip)):
        net.load_state_dict(export.read(folder / f"{file}.safetensors")[0])
    tensors, metadata = export.read(folder / "ae.safetensors")
    for name in ("shift", "scale"):
        tensors[name] = torch.tensor(float(metadata[f"{name}_factor"]))
    models.autoencoder.load_state_dict(tensors)
    return models


def load_work(work: Path, tokenizers: Path) -> Models:
    """The last checkpoints: the autoencoder's, and the average of the others' weights."""
    models = new_models(tokenizers)
    if (work / "autoencoder.pt").exists():
        models.autoencoder.load_state_dict(torch.load(work / "autoencoder.pt")["model"])
    if (work / "transformer.pt").exists():
        models.trained().load_state_dict(torch.load(work / "transformer.pt")["average"])
    return models
