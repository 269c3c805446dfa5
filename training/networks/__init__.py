"""The four networks of ACE++ in PyTorch, small or large, with the key names of the official checkpoints."""

from .clip import ClipText
from .flux import Flux
from .t5 import T5Encoder
from .vae import AttnBlock, AutoEncoder, ResnetBlock

__all__ = ["AttnBlock", "AutoEncoder", "ClipText", "Flux", "ResnetBlock", "T5Encoder"]
