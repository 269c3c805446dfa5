"""The text encoder of CLIP (huggingface/transformers, modeling_clip.py), same keys: causal, quick GELU, heads of 64."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD = 64
EPSILON = 1e-5


class Layer(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.self_attn = nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.self_attn.add_module(name, nn.Linear(width, width))
        self.layer_norm1 = nn.LayerNorm(width, EPSILON)
        self.layer_norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(width, hidden)
        self.mlp.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        net, y = self.self_attn, self.layer_norm1(x)
        q, k, v = (layer(y).unflatten(-1, (-1, HEAD)).transpose(1, 2) for layer in (net.q_proj, net.k_proj, net.v_proj))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + net.out_proj(attended.transpose(1, 2).flatten(2))
        hidden = self.mlp.fc1(self.layer_norm2(x))
        return x + self.mlp.fc2(hidden * torch.sigmoid(1.702 * hidden))


class CLIPText(nn.Module):
    def __init__(self, vocabulary: int, length: int, width=128, layers=1):
        super().__init__()
        self.text_model = net = nn.Module()
        net.embeddings = nn.Module()
        net.embeddings.token_embedding = nn.Embedding(vocabulary, width)
        net.embeddings.position_embedding = nn.Embedding(length, width)
        nn.init.normal_(net.embeddings.token_embedding.weight, std=0.5)
        nn.init.normal_(net.embeddings.position_embedding.weight, std=0.1)
        net.encoder = nn.Module()
        net.encoder.layers = nn.ModuleList(Layer(width, 4 * width) for _ in range(layers))
        net.final_layer_norm = nn.LayerNorm(width, EPSILON)

    def forward(self, ids: Tensor, end: Tensor) -> Tensor:
        """[B, L] and the place of the first end-of-text token [B] -> [B, width]"""
        net = self.text_model
        x = net.embeddings.token_embedding(ids) + net.embeddings.position_embedding.weight[: ids.shape[1]]
        for layer in net.encoder.layers:
            x = layer(x)
        return net.final_layer_norm(x[torch.arange(len(x)), end])
