"""CLIP's text model, with the keys of Hugging Face's CLIPTextModel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClipLayer(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.self_attn = nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, name, nn.Linear(width, width))
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y, attn = self.layer_norm1(x), self.self_attn
        q, k, v = (m(y).unflatten(-1, (-1, 64)).transpose(1, 2) for m in (attn.q_proj, attn.k_proj, attn.v_proj))
        x = x + attn.out_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        up = self.mlp.fc1(self.layer_norm2(x))
        return x + self.mlp.fc2(up * torch.sigmoid(1.702 * up))


class ClipText(nn.Module):
    """[B, L] tokens -> [B, width], taken at the first end-of-text token."""

    def __init__(self, vocabulary: int, end_of_text: int, width=128, layers=1, length=77):
        super().__init__()
        self.end_of_text = end_of_text
        self.text_model = nn.Module()
        self.text_model.embeddings = nn.Module()
        self.text_model.embeddings.token_embedding = nn.Embedding(vocabulary, width)
        self.text_model.embeddings.position_embedding = nn.Embedding(length, width)
        self.text_model.encoder = nn.Module()
        self.text_model.encoder.layers = nn.ModuleList(ClipLayer(width) for _ in range(layers))
        self.text_model.final_layer_norm = nn.LayerNorm(width)
        nn.init.normal_(self.text_model.embeddings.token_embedding.weight, std=0.5)
        nn.init.normal_(self.text_model.embeddings.position_embedding.weight, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        embeddings = self.text_model.embeddings
        x = embeddings.token_embedding(tokens) + embeddings.position_embedding.weight[: tokens.shape[1]]
        for layer in self.text_model.encoder.layers:
            x = layer(x)
        x = self.text_model.final_layer_norm(x)
        return x[torch.arange(len(x), device=x.device), (tokens == self.end_of_text).int().argmax(-1)]
